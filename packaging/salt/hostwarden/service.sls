{%- from 'hostwarden/map.jinja' import install, tls, htpasswd_file with context %}

include:
  - hostwarden.install
  - hostwarden.config

hostwarden running:
  service.running:
    - name: hostwarden
    - enable: True
    - require:
      - sls: hostwarden.config
    # A new binary and new options take a restart.
    - watch:
      - {{ 'archive' if install == 'tarball' else 'cmd' }}: hostwarden
      - module: hostwarden drop-ins
      - file: /etc/default/hostwarden

# Certificates and passwords do not: connections stay, and what is broken is refused.
hostwarden reloaded:
  module.wait:
    - name: service.reload
    - m_name: hostwarden
    - require:
      - service: hostwarden running
    - watch:
      - file: /etc/hostwarden
{%- if not htpasswd_file %}
      - file: /etc/hostwarden/htpasswd
{%- endif %}
{%- if tls %}
      - file: /etc/hostwarden/cert.pem
      - file: /etc/hostwarden/key.pem
      - file: /etc/hostwarden/web.yml
{%- endif %}
