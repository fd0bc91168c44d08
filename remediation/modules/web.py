"""``uri``, ``win_uri`` and ``get_url``: HTTP requests from the host, by its curl."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from typing import Any, ClassVar, Literal
from urllib.parse import urlencode, urljoin

from pydantic import Field, field_validator, model_validator

from remediation.connections.calls import Completed, FileContent, ReadFile, Reply, Run
from remediation.model.change import StepCall
from remediation.model.errors import ParameterError, UsageError
from remediation.model.outcome import Outcome, Result
from remediation.modules.contract import Duration, Module, ModuleTask, Program, UnfitError
from remediation.modules.files.attributes import FileModule, backup_name, expand_path
from remediation.modules.files.placing import STEP, as_action, merged_results
from remediation.modules.multipart import multipart_body
from remediation.modules.paths import joined_path, not_found, path_exists
from remediation.modules.result import ActionResult, done_result, failed_result, skipped_result
from remediation.steps.host.file_managed import mode_text
from remediation.templating.yaml.secret import masked, reveal

_MARK = b"\x1e"
_FIGURES = "%{http_code} %{size_header} %{num_redirects} %{time_total} %{url_effective}"
_ALGORITHMS = frozenset({"md5", "sha1", "sha224", "sha256", "sha384", "sha512"})
_READS = frozenset({"GET", "HEAD", "OPTIONS"})
_REASONS = {
    6: "Name or service not known",
    7: "[Errno 111] Connection refused",
    28: "timed out",
    35: "TLS handshake failed",
    60: "certificate verify failed",
}
_CHECKED = "This action (uri) does not support check mode."
_DOWNLOAD = (
    'dest=$1; sum=$2; want=$3; backup=$4; folder=$(dirname -- "$dest")\n'
    '[ -d "$folder" ] || { echo "Destination $folder does not exist" >&2; exit 3; }\n'
    'part=$(mktemp "$folder/.remediation-part.XXXXXXXXXX") || exit 1; trap \'rm -f "$part"\' EXIT\n'
    'said=$(curl --disable --config - --output "$part") || exit $?\n'
    'echo "$said"; case $said in 304*) echo; echo; echo kept; exit 0 ;; esac\n'
    'if [ -n "$sum" ]; then got=$("$sum" <"$part" | cut -d" " -f1); [ "$got" = "$want" ] || { echo "$got" >&2; exit 4; }; fi\n'
    'sha1sum <"$part" | cut -d" " -f1; md5sum <"$part" | cut -d" " -f1\n'
    'if [ -f "$dest" ] && cmp -s "$part" "$dest"; then echo same; exit 0; fi\n'
    'if [ -n "$backup" ] && [ -e "$dest" ]; then cp -p -- "$dest" "$backup" || exit 1; fi\n'
    'if [ -e "$dest" ]; then chmod --reference="$dest" "$part"; chown --reference="$dest" "$part" 2>/dev/null; else chmod "$5" "$part"; fi\n'
    'mv -f -T -- "$part" "$dest" && trap - EXIT && echo new'
)
"""Downloads next to the destination, checks the sum, and replaces the file if it differs. Curl's settings come on stdin."""


class HttpModule(Module):
    """What the modules for HTTP have in common."""

    headers: dict[str, Any] = Field(default_factory=dict, description="headers of the request")
    url_username: str | None = Field(None, description="user name")
    url_password: Any = Field(None, description="password")
    force_basic_auth: bool = Field(default=False, description="send the password with the first request")
    validate_certs: bool = Field(default=True, description="check the server's certificate")
    use_proxy: bool = Field(default=True, description="use the proxy of the host's environment")
    http_agent: str = Field("ansible-httpget", description="name of the client")
    ca_path: str | None = Field(None, description="file with certificates on the host")
    client_cert: str | None = Field(None, description="file with the client's certificate on the host")
    client_key: str | None = Field(None, description="file with the client's key on the host")
    decompress: bool = Field(default=True, description="accept compressed answers")
    use_netrc: bool = Field(default=False, description="accepted for compatibility; no .netrc is read")
    unredirected_headers: list[str] = Field(default_factory=list, description="accepted for compatibility")

    def settings(self, url: str, method: str, timeout: float, redirects: str) -> list[tuple[str, str | None]]:
        """Return curl's settings; they go to its standard input, because every user of a host can read command lines."""
        given: list[tuple[str, str | None]] = [
            ("url", url), ("request", method) if method != "HEAD" else ("head", None), ("silent", None), ("show-error", None),
            ("max-time", f"{timeout:g}"), ("proto", "=http,https"), ("user-agent", self.http_agent),
        ]  # fmt: skip
        if redirects in {"all", "yes"} or (redirects in {"safe", "urllib2"} and method in _READS):
            given += [("location", None), ("max-redirs", "10")]
        given += [("header", f"{name}: {reveal(value)}") for name, value in self.headers.items()]
        if self.url_username is not None:
            given += [
                ("user", f"{self.url_username}:{reveal(self.url_password) or ''}"),
                ("basic" if self.force_basic_auth else "anyauth", None),
            ]
        given += [
            (name, value)
            for name, value in (("cacert", self.ca_path), ("cert", self.client_cert), ("key", self.client_key))
            if value
        ]
        given += (
            [("insecure", None)] * (not self.validate_certs)
            + [("noproxy", "*")] * (not self.use_proxy)
            + [("compressed", None)] * self.decompress
        )
        return given


class Uri(HttpModule):
    """Make an HTTP request from the host."""

    aliases: ClassVar[Mapping[str, str]] = {
        "user": "url_username",
        "password": "url_password",
        "url_method": "method",
        "timeout_seconds": "timeout",
    }

    rules: ClassVar[Mapping[str, Any]] = {"mutually_exclusive": [["body", "src"]]}

    url: str = Field(..., description="the address")
    method: str = Field("GET", description="the method", pattern="^[A-Za-z]+$")
    body: Any = Field(None, description="the body; mappings and lists with body_format")
    body_format: Literal["form-urlencoded", "json", "raw", "form-multipart"] = Field("raw", description="form of the body")
    src: str | None = Field(None, description="file of the playbook whose content is the body")
    remote_src: bool = Field(default=False, description="src is a file on the host")
    status_code: list[int] = Field([200], description="statuses of success")
    return_content: bool = Field(default=False, description="return the body of the answer")
    follow_redirects: Literal["all", "no", "none", "safe", "urllib2", "yes"] = Field(
        "safe", description="all, safe (GET and HEAD) or none; yes and no are all and none"
    )
    timeout: Duration = Field(30, description="seconds for the whole request")
    dest: str | None = Field(None, description="file on the host for the body of the answer")
    creates: str | None = Field(None, description="path; if it exists, no request is made")
    removes: str | None = Field(None, description="path; if it does not exist, no request is made")
    force: bool = Field(default=False, description="ask for no cached answer")
    unix_socket: str | None = Field(None, description="socket of the host through which the server is reached")
    ciphers: list[str] = Field(default_factory=list, description="ciphers of TLS, in OpenSSL's notation")

    @field_validator("follow_redirects", mode="before")
    @classmethod
    def _check_boolean(cls, given: Any) -> Any:
        return {"True": "yes", "False": "no"}.get(str(given), given)

    @model_validator(mode="after")
    def _check_body(self) -> Uri:
        if self.body is not None and self.src is not None:
            raise ValueError("body and src are mutually exclusive")
        return self

    def run(self, task: ModuleTask) -> ActionResult:
        """Make the request; a method other than GET, HEAD and OPTIONS is a change. Check mode makes none."""
        if task.check():
            return skipped_result(_CHECKED)
        if self.creates is not None and path_exists(task, self.creates):
            return _skipped_download(f"skipped, since '{self.creates}' exists")
        if self.removes is not None and not path_exists(task, self.removes):
            return _skipped_download(f"skipped, since '{self.removes}' does not exist")
        method = self.method.upper()
        if not re.match(r"https?://", self.url):
            return failed_result(f"unknown url type: {self.url}")
        settings = [*self.settings(self.url, method, self.timeout, self.follow_redirects), *self._body(task)]
        settings += [("unix-socket", self.unix_socket)] if self.unix_socket else []
        settings += [("ciphers", ":".join(self.ciphers))] if self.ciphers else []
        settings += [("include", None), ("write-out", f"\\036{_FIGURES}")]
        argv = ("curl.exe" if task.windows else "curl", "--disable", "--config", "-")
        data = config_text(settings)
        if method in _READS:
            return self._parse_answer(task.read(Run(argv, data, timeout=self.timeout + 5.0))[0], task)
        shown = task.masked(f"{method} {masked(self.url)}")
        program = Program(argv, None, shown, data, strip=False, outcome=lambda reply: self._parse_answer(reply, task))
        return replace(task.execute(program), step_result=None)  # as in Ansible, a request counts as a change only with `dest`

    def _body(self, task: ModuleTask) -> list[tuple[str, str | None]]:
        named = {name.lower() for name in self.headers}
        if self.src is not None and self.remote_src:
            return [("data-binary", f"@{expand_path(task, self.src)}")]
        if self.src is not None:
            found = task.find(self.src, "files")
            if found is None:
                raise not_found(task, self.src, "files", "Task failed: ")
            return [("data-raw", found.read_text(encoding="utf-8"))]
        if self.body is None:
            return []
        body = reveal(self.body)
        if self.body_format == "form-multipart":
            return self._form(body, task)
        if self.body_format == "json":
            text = (
                body if isinstance(body, str) and _is_json(body) else json.dumps(body, default=lambda value: str(reveal(value)))
            )
        elif self.body_format == "form-urlencoded" and not isinstance(body, str):
            text = urlencode(_pairs(body), doseq=True)
        else:
            text = body if isinstance(body, str) else json.dumps(body)
        kinds = {"json": "application/json", "form-urlencoded": "application/x-www-form-urlencoded"}
        kind = kinds.get(self.body_format, "application/x-www-form-urlencoded")
        return [("data-raw", text), *([] if "content-type" in named else [("header", f"Content-Type: {kind}")])]

    def _form(self, fields: Any, task: ModuleTask) -> list[tuple[str, str | None]]:
        """Return curl's settings for a form with files. Raises `ParameterError`."""

        def content_of(name: str) -> bytes:
            if self.remote_src:
                reply = task.read(ReadFile(expand_path(task, name)))[0]
                if isinstance(reply, FileContent) and not (reply.missing or reply.truncated):
                    return reply.content
                raise UsageError(f"uri: {name} cannot be read on {task.host}, or is larger than 4 MB")
            found = task.find(name, "files")
            if found is None:
                raise not_found(task, name, "files", "Task failed: ")
            return found.read_bytes()

        problem = ""
        try:
            kind, body = multipart_body(fields, content_of)
            text = body.decode(errors="surrogateescape")
        except (TypeError, ValueError) as error:
            problem = str(error)
        if not problem and "\0" in text:
            problem = "a part contains a NUL character; leave multipart_encoding at base64"
        if problem:
            raise ParameterError(f"uri: body: {problem}", f"failed to parse body as form-multipart: {problem}")
        return [("data-raw", text), ("header", f"Content-Type: {kind}")]

    def _parse_answer(self, reply: Reply, task: ModuleTask) -> ActionResult:
        """Return the module's result from what curl printed."""
        if not isinstance(reply, Completed):
            return failed_result(f"uri: {getattr(reply, 'message', 'no answer')}", "install curl on the host")
        whole, _, figures = reply.stdout.rpartition(_MARK)
        fields = figures.decode(errors="replace").split(" ", 4)
        if reply.rc != 0 or len(fields) < 5:
            reason = _REASONS.get(reply.rc) or reply.stderr.decode(errors="replace").strip()
            msg = f"Status code was -1 and not {self.status_code}: Request failed: <urlopen error {reason}>"
            return failed_result(
                msg, status=-1, url=self.url, redirected=False, elapsed=int(float(fields[3])) if len(fields) == 5 else 0
            )
        status, size, redirects, seconds = int(fields[0]), int(fields[1]), int(fields[2]), float(fields[3])
        headers, content = _headers(whole[:size]), whole[size:]
        text = content.decode(errors="replace")
        values: dict[str, Any] = {
            **_join_headers(headers), **_cookies(headers), "status": status, "url": fields[4],
            "redirected": redirects > 0 and fields[4].rstrip("/") != self.url.rstrip("/"), "elapsed": int(seconds), "msg": f"OK ({_length(headers, content)} bytes)",
        }  # fmt: skip
        kind = str(values.get("content_type", "")).partition(";")[0].strip()
        if kind.endswith(("/json", "+json")) and _is_json(text):
            values["json"] = json.loads(text)
        if status >= 300:
            del values["cookies"], values["cookies_string"]
            values["msg"] = f"HTTP Error {status}: {_phrase(status)}"
        if "location" in values:
            values["location"] = urljoin(fields[4], str(values["location"]))
        if status not in self.status_code:
            msg = f"Status code was {status} and not {self.status_code}: {values['msg']}"
            content_of = {"content": text} if self.return_content else {}
            return failed_result(msg, **{**values, **content_of, "msg": msg})
        if self.return_content:
            values["content"] = text
        return done_result(changed=False, **values) if self.dest is None else self._save_content(content, values, task)

    def _save_content(self, content: bytes, values: dict[str, Any], task: ModuleTask) -> ActionResult:
        path = expand_path(task, self.dest or "")
        status = task.reader().files.status(path, follow=True)
        if status is not None and status.kind == "directory":
            path = joined_path(path, self.url.rstrip("/").rpartition("/")[2] or "index.html", windows=task.windows)
        encoded = base64.b64encode(content).decode()
        call = StepCall(STEP, {"path": path, "content": encoded, "binary": True, "risk_level": str(task.risk())})
        result = task.reach(call)
        return as_action(result, {**values, "path": path, **result.values})


def _skipped_download(message: str) -> ActionResult:
    return done_result(changed=False, stdout=message, stdout_lines=[message])


class WinUri(Uri):
    """Make an HTTP request from a Windows host."""


class GetUrl(HttpModule, FileModule):
    """Download a file to the host, and check its sum."""

    aliases: ClassVar[Mapping[str, str]] = {"username": "url_username", "password": "url_password"}

    url: str = Field(..., description="the address")
    dest: str = Field(..., description="file or folder on the host")
    checksum: str | None = Field(None, description="ALGORITHM:SUM, or ALGORITHM:URL of a list of sums")
    force: bool = Field(default=False, description="download even if the file is there")
    backup: bool = Field(default=False, description="keep a copy of a replaced file")
    timeout: Duration = Field(10, description="seconds without an answer")
    tmp_dest: str | None = Field(None, description="accepted for compatibility; the file is staged next to its destination")
    ciphers: list[str] = Field(default_factory=list, description="accepted for compatibility")

    @field_validator("checksum")
    @classmethod
    def _check_checksum(cls, given: str | None) -> str | None:
        algorithm, colon, wanted = (given or "sha1:-").partition(":")
        if algorithm.lower() not in _ALGORITHMS or not colon or not wanted.strip():
            ansible_message = "The checksum parameter has to be in format <algorithm>:<checksum>"
            raise UnfitError(f"{given!r} is not ALGORITHM:SUM; write it as sha256:...", ansible_message)
        return given

    def run(self, task: ModuleTask) -> ActionResult:
        """Download the file unless it is there."""
        if task.windows:
            return failed_result(
                f"{task.host} is a Windows host, which get_url does not support", "use win_uri with dest, or win_powershell"
            )
        path, files = expand_path(task, self.dest), task.reader().files
        algorithm, wanted = self._sum(task)
        status = files.status(path, follow=True, algorithm=algorithm or "sha1")
        if status is not None and status.kind == "directory":
            path = joined_path(path, re.split(r"[?#]", self.url.rstrip("/"))[0].rpartition("/")[2] or "index.html", windows=False)
            status = files.status(path, follow=True, algorithm=algorithm or "sha1")
        same = status is not None and bool(wanted) and status.checksum == wanted
        attributes = self.attributes(status)
        results: list[Result] = []
        values: dict[str, Any] = {"url": self.url, "dest": path}
        if same and not self.force:
            values["msg"] = "file already exists"
        elif task.check():
            return done_result(changed=True, check=True, **values, msg="the file would be downloaded")
        else:
            acted = self._download(path, algorithm, wanted, task, newer=status is not None and not self.force and not wanted)
            if acted.outcome.bad:
                return replace(acted, values={**values, "changed": False, **acted.values})
            old = status.checksum if status is not None and algorithm in {"", "sha1"} else None
            values |= {"checksum_dest": old, **acted.values}
            step_result = acted.step_result if acted.outcome is Outcome.CHANGED else None  # the same content again is no change
            results.append(Result(acted.outcome, changes=step_result.changes if step_result else ()))
        if attributes:
            results.append(task.reach(StepCall(STEP, {"path": path, **attributes, "risk_level": str(task.risk())})))
        seen = task.reader().files.status(path, follow=True)
        if seen is not None and seen.mode is not None:
            values |= {
                "size": seen.size,
                "mode": mode_text(seen.mode),
                "owner": seen.owner,
                "group": seen.group,
                "uid": seen.uid,
                "gid": seen.gid,
                "state": "file",
            }
        return as_action(merged_results(results), values)

    def _sum(self, task: ModuleTask) -> tuple[str, str]:
        """Return algorithm and sum. Raises `UsageError`."""
        if self.checksum is None:
            return "", ""
        algorithm, _, wanted = self.checksum.partition(":")
        if "://" not in wanted:
            return algorithm.lower(), wanted.strip().lower()
        data = config_text([*self.settings(wanted, "GET", self.timeout, "all"), ("fail", None)])
        reply = task.read(Run(("curl", "--disable", "--config", "-"), data, timeout=self.timeout + 5.0))[0]
        name = self.url.rpartition("/")[2]
        lines = [line.split() for line in reply.text.splitlines()] if isinstance(reply, Completed) and reply.rc == 0 else []
        found = next((words[0] for words in lines if len(words) > 1 and words[-1].lstrip("*./") == name), "")
        found = found or (lines[0][0] if len(lines) == 1 and len(lines[0]) == 1 else "")
        if not found:
            raise UsageError(f"get_url: {wanted} has no sum of {name}")
        return algorithm.lower(), found.lower()

    def _download(self, path: str, algorithm: str, wanted: str, task: ModuleTask, *, newer: bool) -> ActionResult:
        backup = backup_name(path, windows=False) if self.backup else ""
        given = [
            *self.settings(self.url, "GET", task.limit(3600.0), "all"),
            ("fail", None),
            ("connect-timeout", f"{self.timeout:g}"),
        ]
        data = config_text(
            [*given, ("write-out", "%{http_code} %{size_download} %{time_total}"), *([("time-cond", path)] if newer else [])]
        )
        argv = ("sh", "-c", _DOWNLOAD, "download", path, f"{algorithm}sum" if algorithm else "", wanted, backup, "0644")
        return task.execute(
            Program(
                argv,
                None,
                task.masked(f"download {self.url} to {path}"),
                data,
                outcome=lambda acted: _download_result(acted, wanted, backup),
            )
        )


def _download_result(reply: Completed, wanted: str, backup: str) -> ActionResult:
    message = reply.stderr.decode(errors="replace").strip()
    if reply.rc == 4:
        return failed_result(f"The checksum for the file did not match {wanted}; it was {message}.")
    if reply.rc != 0:
        code = re.search(r"error: (\d{3})", message)
        status: dict[str, Any] = {"status_code": int(code[1])} if code else {}
        reason = (
            f"HTTP Error {code[1]}: {_phrase(int(code[1]))}" if code else f"<urlopen error {_REASONS.get(reply.rc, message)}>"
        )
        return failed_result(
            message if reply.rc == 3 else f"Request failed: {reason}",
            **status,
            elapsed=0,
            **({"response": reason, "msg": "Request failed"} if code else {}),
        )
    figures, sha1, md5, how = reply.text.split("\n")[:4]
    code_text, size, seconds = figures.split()
    elapsed = int(float(seconds.replace(",", ".")))
    if how == "kept":
        return ActionResult(Outcome.OK, {"msg": "HTTP Error 304: Not Modified", "status_code": 304, "elapsed": elapsed})
    values = {
        "checksum_src": sha1, "md5sum": md5, "status_code": int(code_text), "msg": f"OK ({size} bytes)", "elapsed": elapsed,
        **({"backup_file": backup} if backup and how == "new" else {}),
    }  # fmt: skip
    return ActionResult(Outcome.CHANGED if how == "new" else Outcome.OK, values)


def config_text(settings: Sequence[tuple[str, str | None]]) -> bytes:
    """Return settings in the form of curl's configuration file."""
    lines = []
    for name, value in settings:
        if value is None:
            lines.append(name)
            continue
        escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")
        if name == "write-out":
            escaped = value.replace("\\036", _MARK.decode())
        lines.append(f'{name} = "{escaped}"')
    return ("\n".join(lines) + "\n").encode(errors="surrogateescape")


def _pairs(body: Any) -> Any:
    return body if isinstance(body, Mapping) else [tuple(pair) for pair in body]


def _headers(head: bytes) -> list[tuple[str, str]]:
    """Return the headers of the last answer."""
    block = head.decode("latin-1").replace("\r\n", "\n").strip().split("\n\n")[-1]
    return [
        (name.strip(), value.strip()) for name, colon, value in (line.partition(":") for line in block.split("\n")[1:]) if colon
    ]


def _cookies(headers: Sequence[tuple[str, str]]) -> dict[str, Any]:
    jar: SimpleCookie = SimpleCookie()
    for name, value in headers:
        if name.lower() == "set-cookie":
            try:
                jar.load(value)
            except CookieError:
                continue
    return {
        "cookies": {name: each.value for name, each in jar.items()},
        "cookies_string": "; ".join(f"{name}={each.value}" for name, each in jar.items()),
    }


def _join_headers(headers: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Return headers by name; the values of one that is repeated are separated by commas."""
    found: dict[str, list[str]] = {}
    for name, value in headers:
        found.setdefault(name.replace("-", "_").lower(), []).append(value)
    return {name: ", ".join(values) for name, values in found.items()}


def _length(headers: Sequence[tuple[str, str]], content: bytes) -> str:
    return next((value for name, value in headers if name.lower() == "content-length"), "unknown" if content else "0")


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
