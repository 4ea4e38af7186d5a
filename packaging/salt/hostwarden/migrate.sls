# From node_exporter behind a vhost to the agent on the same port, with the same password file.
#
# The agent is set up beside what is there, then takes over the port. What was there is removed only
# when an operator's round (`hostwarden check endpoint`) has passed; else it is put back and the run
# fails. On a server that has nothing of the old way this is the formula, no more.
{%- from 'hostwarden/map.jinja' import config, port, tls with context %}
{%- set old = config.get('migrate', {}) %}
{%- set units = [] %}
{%- for unit in old.get('units', []) if salt['service.available'](unit) %}{% do units.append(unit) %}{% endfor %}
{%- set sites = [] %}
{%- for site in old.get('sites', []) if salt['file.file_exists'](site) or salt['file.is_link'](site) %}{% do sites.append(site) %}{% endfor %}
{%- set is_old = units or sites %}

include:
  - hostwarden

{%- if is_old %}

# The package starts the agent, but the port is still taken.
hostwarden held back:
  service.masked:
    - name: hostwarden
    - runtime: True
    - require_in:
      - sls: hostwarden.install

/run/hostwarden-migrate/password:
  file.managed:
    - contents: {{ old['password'] | yaml_dquote }}
    - mode: '0600'
    - dir_mode: '0700'
    - makedirs: True
    - show_changes: False

hostwarden takes over:
  cmd.script:
    - source: salt://hostwarden/files/take-over
    - template: jinja
    - context:
        units: {{ units | yaml }}
        sites: {{ sites | yaml }}
        web_server: {{ old.get('web_server', '') }}
        url: {{ 'https' if tls else 'http' }}://{{ old.get('address', '127.0.0.1') }}:{{ port }}/
        user: {{ old['user'] }}
        ca: {{ '/etc/hostwarden/cert.pem' if tls else '' }}
    - require:
      - sls: hostwarden.install
      - sls: hostwarden.config
      - service: hostwarden held back
      - file: /run/hostwarden-migrate/password
    - require_in:
      - service: hostwarden running

hostwarden migration ends:
  file.absent:
    - name: /run/hostwarden-migrate
    - require:
      - cmd: hostwarden takes over
{%- endif %}
