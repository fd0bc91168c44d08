#!/bin/sh
cat <<'X'
{"web": {"hosts": ["w1", "w2"], "vars": {"gv": "web"}}, "db": ["d1"], "top": {"children": ["web", "db"], "vars": {"ansible_connection": "local"}},
 "_meta": {"hostvars": {"w1": {"v": 1}, "d1": {"v": [1, 2], "tmpl": "{{ 1 + 1 }}"}}}}
X
