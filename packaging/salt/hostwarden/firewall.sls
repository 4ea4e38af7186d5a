# The agent's port for Prometheus alone, in a table of its own: it takes nothing from the rules that
# are there, and a firewall that drops by default must let the port through as well.
{%- from 'hostwarden/map.jinja' import config, port with context %}

{%- if config.get('firewall') %}

hostwarden firewall:
  pkg.installed:
    - name: nftables

/etc/hostwarden/firewall.nft:
  file.managed:
    - source: salt://hostwarden/files/firewall.nft
    - template: jinja
    - context:
        port: {{ port }}
        allowed: {{ config['firewall']['allow'] | yaml }}
    - mode: '0640'
    - check_cmd: nft --check --file
    - require:
      - pkg: hostwarden firewall

/etc/systemd/system/hostwarden-firewall.service:
  file.managed:
    - source: salt://hostwarden/files/hostwarden-firewall.service

hostwarden-firewall:
  service.running:
    - enable: True
    - watch:
      - file: /etc/hostwarden/firewall.nft
      - file: /etc/systemd/system/hostwarden-firewall.service
{%- endif %}
