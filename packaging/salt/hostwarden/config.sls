{%- from 'hostwarden/map.jinja' import config, tls, textfiles, htpasswd_file, options with context %}

include:
  - hostwarden.install

/etc/hostwarden:
  file.directory:
    - user: root
    - group: hostwarden
    - mode: '0750'
    - require:
      - sls: hostwarden.install

{{ textfiles }}:
  file.directory:
    - user: root
    - group: hostwarden-textfile
    - mode: '2775'
    - makedirs: True
    - require:
      - sls: hostwarden.install

{%- if not htpasswd_file %}

/etc/hostwarden/htpasswd:
  file.managed:
    - contents: {{ salt['hostwarden.htpasswd'](config['users']) | yaml_dquote }}
    - user: root
    - group: hostwarden
    - mode: '0640'
    - show_changes: False
    - require:
      - file: /etc/hostwarden
    - require_in:
      - file: /etc/default/hostwarden
{%- endif %}

{%- if tls %}

/etc/hostwarden/cert.pem:
  file.managed:
    - contents_pillar: hostwarden:tls:certificate
    - user: root
    - group: hostwarden
    - mode: '0644'
    - require:
      - file: /etc/hostwarden

/etc/hostwarden/key.pem:
  file.managed:
    - contents_pillar: hostwarden:tls:key
    - user: root
    - group: hostwarden
    - mode: '0640'
    - show_changes: False
    - require:
      - file: /etc/hostwarden

# Checked before it is put in place: a broken one leaves the old one, and fails the run.
/etc/hostwarden/web.yml:
  file.managed:
    - source: salt://hostwarden/files/web.yml
    - user: root
    - group: hostwarden
    - mode: '0640'
    - check_cmd: hostwarden check config --web.config.file
    - require:
      - file: /etc/hostwarden/cert.pem
      - file: /etc/hostwarden/key.pem
    - require_in:
      - file: /etc/default/hostwarden
{%- endif %}

/etc/default/hostwarden:
  file.managed:
    - source: salt://hostwarden/files/default
    - template: jinja
    - context:
        options: {{ options | yaml }}
    - check_cmd: sh -c '. "$0" && exec hostwarden check config $HOSTWARDEN_OPTS'
    - require:
      - file: /etc/hostwarden
