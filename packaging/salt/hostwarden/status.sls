# The web server's own status, on loopback and a port of its own, so that no site stands in its way.
{%- from 'hostwarden/map.jinja' import has_apache, has_nginx, apache_status, nginx_status with context %}

{%- if has_apache %}

/etc/apache2/conf-available/hostwarden-status.conf:
  file.managed:
    - source: salt://hostwarden/files/status.apache.conf
    - template: jinja
    - context:
        address: {{ apache_status }}

# Salt's own states for Apache are an extension since 3008.
hostwarden apache status module:
  cmd.run:
    - name: a2enmod --quiet status
    - creates: /etc/apache2/mods-enabled/status.load

hostwarden apache status:
  file.symlink:
    - name: /etc/apache2/conf-enabled/hostwarden-status.conf
    - target: ../conf-available/hostwarden-status.conf
    - require:
      - file: /etc/apache2/conf-available/hostwarden-status.conf
      - cmd: hostwarden apache status module

hostwarden apache reload:
  cmd.run:
    - name: apache2ctl configtest && systemctl reload-or-restart apache2
    - onlyif: systemctl is-active apache2
    - onchanges:
      - file: /etc/apache2/conf-available/hostwarden-status.conf
      - cmd: hostwarden apache status module
      - file: hostwarden apache status
{%- endif %}

{%- if has_nginx %}

/etc/nginx/conf.d/hostwarden-status.conf:
  file.managed:
    - source: salt://hostwarden/files/status.nginx.conf
    - template: jinja
    - context:
        address: {{ nginx_status }}

hostwarden nginx reload:
  cmd.run:
    - name: nginx -t && systemctl reload nginx
    - onlyif: systemctl is-active nginx
    - onchanges:
      - file: /etc/nginx/conf.d/hostwarden-status.conf
{%- endif %}
