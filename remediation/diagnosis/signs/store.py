"""Models and blobs that are damaged (facts/ollama 2.4; recordings, surprise 9)."""

from __future__ import annotations

from remediation.diagnosis.signs.scan import sign

SIGNS = (
    sign("digest_mismatch", "digest mismatch"),
    sign("truncated", "file bounds", r"not within (?:the )?file bounds|corrupted or incomplete"),
    sign("truncated", "exceeds file size", r"offset\+size \(\d+\) exceeds file size|exceeds file size"),
    sign("bad_magic", "magic", r"invalid file magic|bad magic|invalid magic"),
    sign("unexpected_eof", "unexpected eof", r"unexpected EOF"),
    sign(
        "bad_manifest",
        "manifest",
        r"manifest[^\n]*(?:unexpected end of JSON|invalid character|unexpected EOF|is corrupt)|bad manifest",
    ),
    # server/images.go: whatever keeps the file from being read stands behind it; a version beyond what GGUF ever had is damage
    sign(
        "blob_missing",
        "couldn't open model file",
        r"couldn't open model file[^\n]*(?:no such file|cannot find the|file does not exist)",
    ),
    sign(
        "blob_denied",
        "couldn't open model file",
        r"couldn't open model file[^\n]*(?:permission denied|access is denied|not permitted)",
    ),
    sign(
        "blob_unreadable",
        "couldn't open model file",
        r"couldn't open model file(?![^\n]*(?:no such file|cannot find the|file does not exist|permission denied|access is denied|not permitted|too many open|timeout"
        r"|unsupported version (?:1|[4-9]|\d\d)\b))",
    ),
    sign(
        "blob_missing",
        "no such file",
        r"blobs?[/\\]+sha256[-:][0-9a-f]+[^\n]{0,12}(?:: | ?\()(?:no such file|The system cannot find)",
    ),
    sign("blob_missing", "cannot find the", r"blobs[/\\]+sha256[-:][0-9a-f]+[^\n]{0,12}: The system cannot find"),
    sign("no_generate", "does not support generate", r'"?([^"\s]+?)"?\\?"? does not support generate'),
    sign("unloadable", "unable to load model", r"unable to load model: ?\S*"),
    sign("metadata_failed", "load model metadata", r"failed to load model metadata"),
    sign("gguf_panic", "out of range", r"slice bounds out of range|makeslice: len out of range"),
    sign(
        "gguf_invalid",
        "gguf",
        r"(?:invalid|corrupt(?:ed)?|bad|truncated) gguf|gguf[^\n]{0,60}(?:invalid|corrupt|failed to read|bad)",
    ),
    sign(
        "tensor_read",
        "failed to read",
        r"failed to read (?:tensor|magic|key-value|header|model)|error loading model: [^\n]*failed to (?:read|open)",
    ),
    sign(
        "disk_error",
        "error",
        r"blobs[^\n]*(?:input/output error|structure needs cleaning)|(?:read|write)[^\n]*blobs[^\n]*: i/o error",
    ),
    sign("not_found", "not found", r"model '([^']+)' not found"),
    sign("pull_failed", "max retries exceeded"),
    sign("data_invalid", "unexpectedly", r"(?:model )?(?:data|blob)[^\n]{0,40}unexpectedly"),
)
