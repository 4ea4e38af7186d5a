# As a tree has it that fetches node_exporter's release: only names and versions are others.
{% set entry = pillar['prometheus']['exporter'] %}
{% set home = '/home/' ~ entry.user %}

{{ entry.user }}:
  user.present: []

extract {{ entry.basename }}:
  archive.extracted:
    - name: {{ home }}
    - source: {{ entry.releases }}/{{ entry.basename }}-{{ entry.version }}.{{ grains.kernel | lower }}-{{ grains.osarch }}.tar.gz
    - source_hash: {{ entry.releases }}/sha256sums.txt
    - user: {{ entry.user }}
    - group: {{ entry.user }}
    - require:
      - user: {{ entry.user }}
    - require_in:
      - service: {{ entry.service }}

{{ home }}/textfiles:
  file.directory:
    - user: {{ entry.user }}
    - require:
      - user: {{ entry.user }}
    - require_in:
      - service: {{ entry.service }}

{% for name, contents in entry.config.items() %}
{{ home }}/{{ name }}:
  file.managed:
    - contents: {{ contents | yaml_dquote }}
    - user: {{ entry.user }}
    - mode: '0600'
    - require:
      - user: {{ entry.user }}
    - require_in:
      - service: {{ entry.service }}
    - watch_in:
      - module: {{ entry.service }} reload
{% endfor %}

/etc/systemd/system/{{ entry.service }}.service:
  file.managed:
    - source: salt://fetched/unit
    - template: jinja
    - context:
        entry: {{ entry | yaml }}
    - watch_in:
      - service: {{ entry.service }}

{{ entry.service }}:
  service.running:
    - enable: True

{{ entry.service }} reload:
  module.wait:
    - name: service.reload
    - m_name: {{ entry.service }}
