# Pillar of the formula hostwarden, with every key there is. Only version and source must be there,
# and users or htpasswd_file.

hostwarden:
  # Which release, and the folder where its packages lie beside sha256sums.txt: a URL, or salt://.
  version: 0.1.0
  source: https://releases.example.org/hostwarden/v0.1.0
  # deb and rpm where there are such packages, else tarball.
  # install: tarball

  listen: ':9158'
  # Who may ask, with a hash as `htpasswd -B`, `hostwarden passwd` or `openssl passwd -6` make it, or
  # a plain password, of which the minion makes a hash once.
  users:
    prom:
      hash: $2y$10$abcdefghijklmnopqrstuuE6yzJkJmJbqkqvHVQW2yFgYlJXcq2p6
    # operator:
    #   password: in a private pillar
  # Instead of users: a file that is there already and stays as it is.
  # htpasswd_file: /home/prometheus-client/htpasswd

  # One certificate for all servers may be self-signed: it is its own CA on the Prometheus server.
  # tls:
  #   certificate: |
  #     -----BEGIN CERTIFICATE-----
  #   key: |
  #     -----BEGIN PRIVATE KEY-----

  # Further options, and drop-ins of the unit for collectors that need a capability: perf, ethtool,
  # closed-files.
  flags:
    - --collector.systemd
  # drop_ins: [perf]

  # Where cron jobs and timers leave textfiles, if not in /var/lib/hostwarden/textfile.
  # textfiles: /home/prometheus-client/node-exporter-textfile-directory

  # Only these may reach the port; without it the firewall is left alone.
  # firewall:
  #   allow: [192.0.2.10, '2001:db8::10']

  # False leaves Apache and nginx alone, whether they are there or not.
  # services: False

  # What the mine says of this minion: the address that Prometheus connects to (default: the FQDN),
  # and labels. A server that is meant to be busy has wider bounds in the alert rules.
  # address: web.example.org
  # labels:
  #   busy: 'yes'

  # hostwarden.migrate: what was there before, and a user with the password to try.
  # migrate:
  #   units: [prometheus-node-exporter]
  #   sites: [/etc/nginx/sites-enabled/prometheus.conf]
  #   web_server: nginx
  #   # With TLS, a name in the certificate by which the server reaches itself.
  #   address: web.example.org
  #   user: prom
  #   password: in a private pillar

  # hostwarden.server, on the Prometheus server.
  # server:
  #   username: prom
  #   password: in a private pillar
  #   ca: |
  #     -----BEGIN CERTIFICATE-----
  #   # If the certificate has another name than the target.
  #   server_name: prometheus-client
  #   # Which minions, and targets that have none.
  #   minions: '*'
  #   targets:
  #     - {targets: ['old.example.org:9158'], labels: {minion: old}}

# The mine has what hostwarden.server looks for.
mine_functions:
  hostwarden:
    - mine_function: hostwarden.target
