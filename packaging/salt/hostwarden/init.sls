# The agent on a server: installed, configured, running.

include:
  - hostwarden.install
  - hostwarden.config
  - hostwarden.status
  - hostwarden.firewall
  - hostwarden.service
