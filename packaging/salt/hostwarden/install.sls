{%- from 'hostwarden/map.jinja' import config, version, arch, source, stem, install with context %}

{%- if install in ['deb', 'rpm'] %}
{%- if install == 'deb' %}
{%- set package = 'hostwarden_' ~ version ~ '_' ~ arch ~ '.deb' %}
{%- else %}
{%- set package = 'hostwarden-' ~ version ~ '-1.' ~ arch ~ '.rpm' %}
{%- endif %}

hostwarden package file:
  file.managed:
    - name: /var/cache/hostwarden/{{ package }}
    - source: {{ source }}/{{ package }}
    - makedirs: True
{%- if source.startswith('salt://') %}
{%- set verify = 'sha256sum --check --ignore-missing --quiet sha256sums.txt && ' %}

# Of what its master has, Salt compares no sum: the installation does.
hostwarden sums:
  file.managed:
    - name: /var/cache/hostwarden/sha256sums.txt
    - source: {{ source }}/sha256sums.txt
    - makedirs: True
    - require_in:
      - cmd: hostwarden
{%- else %}
{%- set verify = '' %}
    - source_hash: {{ source }}/sha256sums.txt
{%- endif %}

# pkg.installed goes to no lower version when its source is a file: going back would be by hand.
hostwarden:
  cmd.run:
    - cwd: /var/cache/hostwarden
{%- if install == 'deb' %}
    - name: {{ verify }}apt-get install -q -y --allow-downgrades -o Dpkg::Options::=--force-confold /var/cache/hostwarden/{{ package }}
    - unless: test "$(dpkg-query -W -f '${db:Status-Status} ${Version}' hostwarden)" = 'installed {{ version }}'
    - env:
      - DEBIAN_FRONTEND: noninteractive
{%- else %}
    - name: {{ verify }}rpm --upgrade --oldpackage /var/cache/hostwarden/{{ package }}
    - unless: test "$(rpm --query --queryformat '%{VERSION}' hostwarden)" = '{{ version }}'
{%- endif %}
    - require:
      - file: hostwarden package file

{%- else %}

# As node_exporter's release is fetched: a folder of the release's name, beside those of others.
hostwarden:
  archive.extracted:
    - name: /opt/hostwarden
    - source: {{ source }}/{{ stem }}.tar.gz
    - source_hash: {{ source }}/sha256sums.txt
    - user: root
    - group: root

{%- set release = '/opt/hostwarden/' ~ stem %}

{%- for link, file in {
  '/usr/bin/hostwarden': 'hostwarden',
  '/usr/lib/hostwarden/textfile-outcome': 'systemd/textfile-outcome',
  '/etc/sysusers.d/hostwarden.conf': 'systemd/sysusers.conf',
  '/etc/tmpfiles.d/hostwarden.conf': 'systemd/tmpfiles.conf',
  '/usr/share/hostwarden': 'share',
}.items() %}
{{ link }}:
  file.symlink:
    - target: {{ release }}/{{ file }}
    - makedirs: True
    - require:
      - archive: hostwarden
    - require_in:
      - cmd: hostwarden users and folders
{%- endfor %}

hostwarden users and folders:
  cmd.run:
    - name: systemd-sysusers hostwarden.conf && systemd-tmpfiles --create hostwarden.conf
    - onchanges:
      - archive: hostwarden

# systemd reads units that are links only as long as it has seen them: these are files.
{%- for unit in ['hostwarden.service', 'hostwarden.socket', 'hostwarden-textfile@.service', 'hostwarden-textfile@.timer'] %}
/etc/systemd/system/{{ unit }}:
  file.copy:
    - source: {{ release }}/systemd/{{ unit }}
    - force: True
    - onchanges:
      - archive: hostwarden
{%- endfor %}

hostwarden units:
  module.run:
    - service.systemctl_reload: []
    - onchanges:
      - archive: hostwarden
    - require:
      - file: /etc/systemd/system/hostwarden.service
{%- endif %}

{#- Drop-ins for collectors that need a capability, and for systemd 253 and later. #}
{%- set drop_ins = config.get('drop_ins', []) + (['notify-reload'] if grains['systemd']['version'] | int >= 253 else []) %}
{%- for drop_in in ['perf', 'ethtool', 'closed-files', 'notify-reload'] %}
/etc/systemd/system/hostwarden.service.d/{{ drop_in }}.conf:
{%- if drop_in in drop_ins %}
  file.symlink:
    - target: /usr/share/hostwarden/systemd/{{ drop_in }}.conf
    - makedirs: True
    - require:
      - {{ 'archive' if install == 'tarball' else 'cmd' }}: hostwarden
{%- else %}
  file.absent:
{%- endif %}
    - onchanges_in:
      - module: hostwarden drop-ins
{%- endfor %}

hostwarden drop-ins:
  module.run:
    - service.systemctl_reload: []
