# On the Prometheus server: targets from the mine, a scrape job, alert rules.
{%- set server = salt['pillar.get']('hostwarden:server', {}) %}
{%- set folder = server.get('folder', '/etc/prometheus/hostwarden') %}
{%- set config = server.get('config', '/etc/prometheus/prometheus.yml') %}
{%- set service = server.get('service', 'prometheus') %}
{%- set user = server.get('user', 'prometheus') %}

{#- The mine's and those that have no minion, as Prometheus reads them. #}
{%- set targets = [] %}
{%- for minion, found in salt['mine.get'](server.get('minions', '*'), 'hostwarden').items() | sort %}
{%- do targets.append({'targets': [found['target']], 'labels': dict(found['labels'], minion=minion)}) %}
{%- endfor %}
{%- do targets.extend(server.get('targets', [])) %}

# The alert rules come with the agent.
include:
  - hostwarden.install

{{ folder }}:
  file.directory:
    - user: root
    - group: {{ user }}
    - mode: '0750'

# Prometheus takes up a changed file by itself.
{{ folder }}/targets.json:
  file.serialize:
    - dataset: {{ targets | json }}
    - serializer: json
    - mode: '0644'
    - require:
      - file: {{ folder }}

{{ folder }}/password:
  file.managed:
    - contents: {{ server['password'] | yaml_dquote }}
    - contents_newline: False
    - user: root
    - group: {{ user }}
    - mode: '0640'
    - show_changes: False
    - require:
      - file: {{ folder }}

{%- if 'ca' in server %}

{{ folder }}/ca.pem:
  file.managed:
    - contents_pillar: hostwarden:server:ca
    - require:
      - file: {{ folder }}
    - require_in:
      - file: hostwarden scrape job
{%- endif %}

{{ folder }}/hostwarden.rules.yml:
  file.managed:
    - source: /usr/share/hostwarden/prometheus/hostwarden.rules.yml
    - check_cmd: promtool check rules
    - require:
      - sls: hostwarden.install
      - file: {{ folder }}

hostwarden scrape job:
  file.blockreplace:
    - name: {{ config }}
    - marker_start: '  # hostwarden: from here on managed by Salt'
    - marker_end: '  # hostwarden: up to here'
    - insert_after_match: '^scrape_configs:'
    - source: salt://hostwarden/files/scrape.yml
    - template: jinja
    - context:
        server: {{ server | json }}
        folder: {{ folder }}
    - require:
      - file: {{ folder }}/targets.json
      - file: {{ folder }}/password

hostwarden rule file:
  file.blockreplace:
    - name: {{ config }}
    - marker_start: '  # hostwarden rules: from here on managed by Salt'
    - marker_end: '  # hostwarden rules: up to here'
    - insert_after_match: '^rule_files:'
    - content: '  - {{ folder }}/hostwarden.rules.yml'
    - require:
      - file: {{ folder }}/hostwarden.rules.yml

hostwarden prometheus reload:
  cmd.run:
    - name: promtool check config {{ config }} && systemctl reload {{ service }}
    - onchanges:
      - file: hostwarden scrape job
      - file: hostwarden rule file
      - file: {{ folder }}/hostwarden.rules.yml
