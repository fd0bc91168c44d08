# The worker of docs/worker-protocol.md: reads lines of base64 JSON from $Reader and writes "<nonce> <base64 JSON>" lines.
# Requires Windows PowerShell 5.1. The automatic variable of piped input is not used, because the bootstrap reads stdin.
param($Reader)

Set-StrictMode -Off
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'

$Utf8 = New-Object Text.UTF8Encoding $false
$Output = [Console]::OpenStandardOutput()
$SliceSize = 300000
# Limit of each output stream. The excess is read and dropped, to limit memory without blocking the program.
$OutputLimit = 128MB
$Scripts = @{}
$Jobs = @{}
# The temporary file of each file that is being written, by its path.
$Parts = New-Object 'Collections.Generic.Dictionary[string,string]'
# Servers for which a request of the current line has timed out, each with the text of its reply.
$Hung = @{}
# In PowerShell 6 and later, ConvertFrom-Json converts text that looks like a date. System.Text.Json (7.0 and later) does not.
# 5.1 has only ConvertFrom-Json, which converts only "\/Date(...)\/"; the client never escapes a slash.
$JsonDocument = 'System.Text.Json.JsonDocument' -as [type]

# The two reads of a program's output block a thread each. With the default of one per core, stdin would wait for a third.
$null = [Threading.ThreadPool]::SetMinThreads(16, 16)

# .NET writes a byte order mark to a child's stdin if the console uses UTF-8 (65001) with a mark.
try { [Console]::InputEncoding = $Utf8 } catch { $null = $_ }
try { [Console]::OutputEncoding = $Utf8 } catch { $null = $_ }

function ConvertTo-Text($Value) {
    ConvertTo-Json -Depth 20 -Compress -InputObject $Value
}

function Write-Line([string] $Json) {
    $line = $Nonce + ' ' + [Convert]::ToBase64String($Utf8.GetBytes($Json)) + "`r`n"
    $bytes = [Text.Encoding]::ASCII.GetBytes($line)
    $Output.Write($bytes, 0, $bytes.Length)
    $Output.Flush()
}

function New-Failure([string] $Kind, [string] $Message) {
    @{ error = @{ kind = $Kind; message = $Message } }
}

function ConvertTo-Failure($Record, [string] $What) {
    $cause = $Record.Exception.GetBaseException()
    $kind = 'error'
    if ($cause -is [ComponentModel.Win32Exception]) {
        # 2 file not found, 3 path not found, 267 invalid working directory; 5 access denied (13 on other systems)
        if (@(2, 3, 267) -contains $cause.NativeErrorCode) { $kind = 'not-found' }
        elseif (@(5, 13) -contains $cause.NativeErrorCode) { $kind = 'denied' }
    }
    elseif ($cause -is [IO.FileNotFoundException] -or $cause -is [IO.DirectoryNotFoundException]) { $kind = 'not-found' }
    elseif ($cause -is [UnauthorizedAccessException]) { $kind = 'denied' }
    New-Failure $kind ($What + ': ' + $cause.Message)
}

# Quotes for CommandLineToArgvW: if empty or with space, tab, line end or quote; backslashes are doubled before a quote.
function ConvertTo-Argument([string] $Text) {
    if ($Text -ne '' -and $Text -notmatch '[ \t\r\n\v"]') { return $Text }
    $quoted = [regex]::Replace($Text, '(\\*)"', '$1$1\"')
    $quoted = [regex]::Replace($quoted, '(\\+)\z', '$1$1')
    '"' + $quoted + '"'
}

# Variables are an object, or pairs if two names differ only in case, which an object cannot hold.
function Set-Variables($Info, $Wanted) {
    $pairs = New-Object Collections.ArrayList
    if ($Wanted -is [array]) { foreach ($pair in $Wanted) { $null = $pairs.Add($pair) } }
    elseif ($null -ne $Wanted) { foreach ($entry in $Wanted.PSObject.Properties) { $null = $pairs.Add(@($entry.Name, $entry.Value)) } }
    if ($pairs.Count -eq 0) { return }
    try { $variables = $Info.EnvironmentVariables }
    catch { throw 'no variable can be set: two variables of this login differ only in the case of their names (Path and PATH); remove one of them' }
    foreach ($pair in $pairs) { $variables[[string] $pair[0]] = [string] $pair[1] }
}

function Start-Program($Call) {
    $words = @($Call.argv | ForEach-Object { [string] $_ })
    if ($words.Count -eq 0) { throw 'the argument list is empty' }
    if ($words[0] -match '\.(cmd|bat)$') {
        throw 'a batch file is read by cmd.exe, which takes quoted arguments apart by rules of its own; name the program itself'
    }
    $info = New-Object Diagnostics.ProcessStartInfo
    $info.FileName = $words[0]
    $rest = @($words | Select-Object -Skip 1 | ForEach-Object { ConvertTo-Argument $_ })
    $info.Arguments = $rest -join ' '
    $info.UseShellExecute = $false
    $info.CreateNoWindow = $true
    $info.RedirectStandardInput = $true
    $info.RedirectStandardOutput = $true
    $info.RedirectStandardError = $true
    if ($Call.cwd) { $info.WorkingDirectory = [string] $Call.cwd }
    Set-Variables $info $Call.env
    $process = [Diagnostics.Process]::Start($info)
    $job = @{ process = $process; streams = @{}; feeding = $null; more = [bool] $Call.more; fed = $false }
    foreach ($name in 'stdout', 'stderr') {
        $stream = if ($name -eq 'stdout') { $process.StandardOutput.BaseStream } else { $process.StandardError.BaseStream }
        $buffer = New-Object byte[] 65536
        $job.streams[$name] = @{
            name = $name; stream = $stream; buffer = $buffer; reading = $stream.ReadAsync($buffer, 0, $buffer.Length)
            gathered = New-Object IO.MemoryStream; size = [int64] 0; over = $false
        }
    }
    Send-Stdin $job $Call.stdin
    $job
}

# Starts to write a chunk of stdin. The previous chunk has been written by then.
function Send-Stdin($Job, $Content) {
    if ($Job.fed) { return }
    # not "= if": PowerShell would unroll the byte array into single objects
    $bytes = [Convert]::FromBase64String([string] $Content)
    if ($bytes.Length -eq 0) { Complete-Stdin $Job; return }
    try { $Job.feeding = $Job.process.StandardInput.BaseStream.WriteAsync($bytes, 0, $bytes.Length) }
    catch { $Job.more = $false; Complete-Stdin $Job }
}

# A chunk was written, or cannot be: a program may end without reading its stdin.
function Complete-Stdin($Job) {
    $broken = $null -ne $Job.feeding -and $Job.feeding.IsFaulted
    $Job.feeding = $null
    if ($Job.more -and -not $broken) { return }
    $Job.fed = $true
    try { $Job.process.StandardInput.Close() } catch { $null = $_ }
}

# Sends a stream's output as a frame. The JSON is concatenated, because each conversion would copy the text again.
function Send-Gathered($Stream, $Id, [int] $Index) {
    $data = [Convert]::ToBase64String($Stream.gathered.GetBuffer(), 0, [int] $Stream.gathered.Length)
    $Stream.gathered.SetLength(0)
    Write-Line ('{"id":' + $Id + ',"call":' + $Index + ',"stream":"' + $Stream.name + '","data":"' + $data + '"}')
}

# Reads a program's output for a limited time; returns true when it has ended and its output is complete. With $UntilFed, returns
# as soon as the program has read the chunk of stdin.
function Receive-Program($Job, [double] $Milliseconds, $Id, [int] $Index, [bool] $UntilFed) {
    $watch = [Diagnostics.Stopwatch]::StartNew()
    $quietSince = $null
    while ($true) {
        $open = @($Job.streams.Values | Where-Object { $null -ne $_.reading })
        $ended = $Job.process.HasExited
        if ($ended -and $open.Count -eq 0) { return $true }
        if ($ended) {
            # a child process may keep the pipes open forever, so half a second without output is the end
            if ($null -eq $quietSince) { $quietSince = $watch.ElapsedMilliseconds }
            if ($watch.ElapsedMilliseconds - $quietSince -gt 500) { return $true }
        }
        if ($UntilFed -and $null -eq $Job.feeding) { return $false }
        $left = $Milliseconds - $watch.ElapsedMilliseconds
        if ($left -le 0) { return $false }
        $pause = [int] [Math]::Min($left, 100)
        $tasks = @($open | ForEach-Object { $_.reading })
        if ($null -ne $Job.feeding) { $tasks += $Job.feeding }
        if ($tasks.Count -eq 0) { $null = $Job.process.WaitForExit($pause); continue }
        if ([Threading.Tasks.Task]::WaitAny([Threading.Tasks.Task[]] $tasks, $pause) -lt 0) { continue }
        if ($null -ne $Job.feeding -and $Job.feeding.IsCompleted) { Complete-Stdin $Job }
        foreach ($one in $open) {
            if (-not $one.reading.IsCompleted) { continue }
            $count = 0
            if (-not $one.reading.IsFaulted) { $count = $one.reading.Result }
            if ($count -gt 0) {
                $quietSince = $null
                $one.size += $count
                if ($one.size -gt $OutputLimit) { $one.over = $true }
                else {
                    if ($one.gathered.Length + $count -gt $SliceSize) { Send-Gathered $one $Id $Index }
                    $one.gathered.Write($one.buffer, 0, $count)
                }
                $one.reading = $one.stream.ReadAsync($one.buffer, 0, $one.buffer.Length)
            }
            else { $one.reading = $null }
        }
    }
}

# Kills a program and its children, and waits for its end.
function Stop-Program($Job) {
    $process = $Job.process
    try {
        if ($process.HasExited) { return }
        if ($PSVersionTable.PSVersion.Major -ge 7) { $process.Kill($true) }
        else { Stop-Tree $process.Id }
        if (-not $process.WaitForExit(5000)) { $process.Kill() }
    }
    catch { $null = $_ }
}

function Stop-Tree([int] $Root) {
    $info = New-Object Diagnostics.ProcessStartInfo
    # full path: a bare name is searched in the current folder first
    $info.FileName = [IO.Path]::Combine([Environment]::SystemDirectory, 'taskkill.exe')
    $info.Arguments = '/F /T /PID ' + $Root
    $info.UseShellExecute = $false
    $info.CreateNoWindow = $true
    $info.RedirectStandardInput = $true
    $info.RedirectStandardOutput = $true
    $info.RedirectStandardError = $true
    $killer = [Diagnostics.Process]::Start($info)
    $killer.StandardInput.Close()
    # read its output: .NET Framework's pipe holds only 4 kB, and taskkill writes a line per process
    $null = $killer.StandardOutput.ReadToEndAsync()
    $null = $killer.StandardError.ReadToEndAsync()
    $null = $killer.WaitForExit(5000)
}

function Get-TooMuch($Job) {
    foreach ($name in 'stdout', 'stderr') { if ($Job.streams[$name].over) { return $name } }
}

# The rest of a program's output, and its exit code.
function Get-Outcome($Job) {
    $code = $null
    if ($Job.process.HasExited) { $code = ([int64] $Job.process.ExitCode) -band 4294967295 }
    $said = @{ rc = $code }
    foreach ($name in 'stdout', 'stderr') {
        $gathered = $Job.streams[$name].gathered
        $said[$name] = [Convert]::ToBase64String($gathered.GetBuffer(), 0, [int] $gathered.Length)
        $gathered.SetLength(0)
    }
    $said
}

# Returns JSON text.
function Invoke-Run($Call, $Id, [int] $Index) {
    $server = [string] $Call.server
    if ($server -and $Hung.ContainsKey($server)) { return $Hung[$server] }
    $job = Start-Program $Call
    $done = $false
    try { $done = Receive-Program $job ([double] $Call.timeout * 1000) $Id $Index $false }
    finally { if (-not $done) { Stop-Program $job } }
    if (-not $done) {
        $text = ConvertTo-Text (New-Failure 'timeout' ([string] $Call.argv[0] + ' did not end in ' + $Call.timeout + ' s and was stopped'))
        if ($server) { $Hung[$server] = $text }
        return $text
    }
    $over = Get-TooMuch $job
    if ($over) { return ConvertTo-Text (New-Failure 'error' ('its ' + $over + ' is larger than 128 MB, the most that is accepted')) }
    ConvertTo-Text (Get-Outcome $job)
}

function Remove-Job([string] $Name) {
    $job = $Jobs[$Name]
    $Jobs.Remove($Name)
    Stop-Program $job
}

# Waits for a job's program and returns new output. A job ends with its program, or with a request marked as the last.
function Get-Progress([string] $Name, $Call, $Id, [int] $Index) {
    $job = $Jobs[$Name]
    $done = Receive-Program $job ([double] $Call.wait * 1000) $Id $Index $false
    $said = Get-Outcome $job
    $said.job = $Name
    $said.done = $done
    if (-not $done) { $said.rc = $null }
    $over = Get-TooMuch $job
    if ($over) { $said.over = $over }
    if ($done -or $Call.last) { Remove-Job $Name }
    $said
}

function Invoke-Start($Call, $Id, [int] $Index) {
    $name = [guid]::NewGuid().ToString('N')
    $Jobs[$name] = Start-Program $Call
    Get-Progress $name $Call $Id $Index
}

function Invoke-Poll($Call, $Id, [int] $Index) {
    $name = [string] $Call.job
    $job = $Jobs[$name]
    if ($null -eq $job) { return New-Failure 'not-found' ('no job ' + $name) }
    if ($null -eq $Call.stdin) { return Get-Progress $name $Call $Id $Index }
    # wait for the previous chunk: only one is held here
    $fed = $true
    if ($null -ne $job.feeding) {
        $null = Receive-Program $job ([double] $Call.wait * 1000) $Id $Index $true
        $fed = $null -eq $job.feeding
    }
    if ($fed) {
        $job.more = [bool] $Call.more
        Send-Stdin $job $Call.stdin
    }
    if ($fed -and -not $Call.more) { $said = Get-Progress $name $Call $Id $Index }
    else { $said = Get-Progress $name (New-Object PSObject -Property @{ wait = 0; last = $Call.last }) $Id $Index }
    $said.fed = $fed
    $said
}

# For probes, which are called by Invoke-Probe and see its variables: sends the beginning of an answer before the rest is known.
# It is sent at once in a separate frame, and is not repeated in the probe's value.
function Send-Chunk([byte[]] $Bytes) {
    Write-Line ('{"id":' + $ChunkRequest + ',"call":' + $ChunkCall + ',"stream":"chunk","data":"' + [Convert]::ToBase64String($Bytes) + '"}')
}

function Invoke-Probe($Call, $ChunkRequest, [int] $ChunkCall) {
    $hash = ([string] $Call.sha256).ToLowerInvariant()
    if ($Call.script) {
        $bytes = [Convert]::FromBase64String($Call.script)
        $found = [BitConverter]::ToString([Security.Cryptography.SHA256]::Create().ComputeHash($bytes)).Replace('-', '').ToLowerInvariant()
        if ($found -ne $hash) { return ConvertTo-Text (New-Failure 'error' ("the script of probe '" + $Call.name + "' is not the one its hash announces")) }
        $Scripts[$hash] = [ScriptBlock]::Create($Utf8.GetString($bytes))
    }
    # further read-only calls of this line do not wait for this server
    if ($Call.server -and $Hung.ContainsKey([string] $Call.server)) { return '{"value":' + $Hung[[string] $Call.server] + '}' }
    $block = $Scripts[$hash]
    if ($null -eq $block) { return ConvertTo-Text (New-Failure 'need-script' ("probe '" + $Call.name + "' has not been sent yet")) }
    $said = @(& $block $Call.data)
    # a single string is JSON already; other values are converted
    $text = if ($said.Count -eq 0) { 'null' }
    elseif ($said.Count -eq 1 -and $said[0] -is [string]) { [string] $said[0] }
    elseif ($said.Count -eq 1) { ConvertTo-Text $said[0] }
    else { ConvertTo-Text $said }
    if ($Call.server -and $text.Length -lt 4000) {
        $kind = (ConvertFrom-Text $text).error.kind
        if ($kind -ceq 'timeout') { $Hung[[string] $Call.server] = $text }
    }
    '{"value":' + $text + '}'
}

function Read-Part($Call) {
    $path = [string] $Call.path
    try { $file = New-Object IO.FileStream($path, [IO.FileMode]::Open, [IO.FileAccess]::Read, [IO.FileShare] 'ReadWrite, Delete') }
    catch {
        $cause = $_.Exception.GetBaseException()
        if ($cause -is [IO.FileNotFoundException] -or $cause -is [IO.DirectoryNotFoundException]) { return @{ missing = $true } }
        throw
    }
    try {
        $size = $file.Length
        $offset = [int64] $Call.offset
        if ($Call.tail) { $offset = [Math]::Max([int64] 0, $size - [int64] $Call.limit) }
        $count = [int] [Math]::Max([int64] 0, [Math]::Min([int64] $Call.limit, $size - $offset))
        $bytes = New-Object byte[] $count
        $null = $file.Seek($offset, [IO.SeekOrigin]::Begin)
        $at = 0
        while ($at -lt $count) {
            $got = $file.Read($bytes, $at, $count - $at)
            if ($got -le 0) { break }
            $at += $got
        }
        @{ size = $size; offset = $offset; content = [Convert]::ToBase64String($bytes, 0, $at) }
    }
    finally { $file.Dispose() }
}

# A name of 11 characters in the file's folder, the same for every write of that file: leftovers are found and removed, and every
# readable path is writable (5.1 allows paths of 259 characters, and 247 for folders).
function Get-PartPath([string] $Path) {
    $name = $Utf8.GetBytes([IO.Path]::GetFileName($Path).ToLowerInvariant())
    $hash = [BitConverter]::ToString([Security.Cryptography.SHA256]::Create().ComputeHash($name), 0, 4).Replace('-', '').ToLowerInvariant()
    [IO.Path]::Combine([string] [IO.Path]::GetDirectoryName($Path), '.rp' + $hash)
}

function Remove-Part([string] $Path) {
    $part = $Parts[$Path]
    $null = $Parts.Remove($Path)
    try { [IO.File]::Delete($part) } catch { $null = $_ }
}

# Creates the backup. An incomplete one is removed.
function Copy-Backup([string] $Path, [string] $Backup) {
    $new = -not [IO.File]::Exists($Backup)
    try { [IO.File]::Copy($Path, $Backup, $true) }
    catch {
        if ($new) { try { [IO.File]::Delete($Backup) } catch { $null = $_ } }
        throw
    }
}

function Move-Part([string] $Part, [string] $Path, [string] $Backup) {
    if (-not [IO.File]::Exists($Path)) { [IO.File]::Move($Part, $Path); return }
    if ($Backup) { Copy-Backup $Path $Backup }
    # keeps the owner and access rules of the replaced file
    try { [IO.File]::Replace($Part, $Path, [NullString]::Value) }
    catch {
        if ([IO.File]::Exists($Path)) { throw }
        [IO.File]::Move($Part, $Path) # Windows had already removed the old file
    }
}

function Write-Part($Call) {
    $path = [string] $Call.path
    $offset = [int64] $Call.offset
    if ($offset -eq 0) {
        $part = Get-PartPath $path
        [IO.File]::Delete($part)
        $Parts[$path] = $part
    }
    elseif ($Call.keep -and [IO.File]::Exists((Get-PartPath $path))) { $Parts[$path] = Get-PartPath $path }
    elseif (-not $Parts.ContainsKey($path)) { return New-Failure 'no-part' ('the first slices of ' + $path + ' are not here any more') }
    $kept = $false
    try {
        $size = Add-Slice $Parts[$path] $offset $Call
        if ($Call.last) { Move-Part $Parts[$path] $path ([string] $Call.backup) }
        else { $kept = $true }
        # another process handles the next chunk
        if ($kept -and $Call.keep) { $null = $Parts.Remove($path) }
        @{ size = $size }
    }
    finally { if (-not $kept) { Remove-Part $path } }
}

# Writes one chunk, and checks the hash after the last one. Returns the size.
function Add-Slice([string] $Part, [int64] $Offset, $Call) {
    $bytes = [Convert]::FromBase64String([string] $Call.content)
    $mode = if ($Offset -eq 0) { [IO.FileMode]::CreateNew } else { [IO.FileMode]::Open }
    $file = New-Object IO.FileStream($Part, $mode, [IO.FileAccess]::ReadWrite, [IO.FileShare]::None)
    try {
        if ($file.Length -lt $Offset) { throw ([string] $file.Length + ' bytes have come, the next slice starts at ' + $Offset) }
        $null = $file.Seek($Offset, [IO.SeekOrigin]::Begin)
        $file.Write($bytes, 0, $bytes.Length)
        $file.SetLength($Offset + $bytes.Length)
        if ($Call.last) {
            $file.Flush($true)
            $null = $file.Seek(0, [IO.SeekOrigin]::Begin)
            $found = [BitConverter]::ToString([Security.Cryptography.SHA256]::Create().ComputeHash($file)).Replace('-', '')
            if ($found -ne [string] $Call.sha256) { throw 'what arrived has another SHA-256 than what was sent' }
        }
        $file.Length
    }
    finally { $file.Dispose() }
}

# Returns JSON text.
function Invoke-Call($Call, $Id, [int] $Index) {
    $what = [string] $Call.op
    try {
        switch -CaseSensitive ($what) {
            'run' { $what = [string] $Call.argv[0]; return Invoke-Run $Call $Id $Index }
            'probe' { $what = 'probe ' + $Call.name; return Invoke-Probe $Call $Id $Index }
            'read' { $what = [string] $Call.path; return ConvertTo-Text (Read-Part $Call) }
            'write' { $what = [string] $Call.path; return ConvertTo-Text (Write-Part $Call) }
            'start' { $what = [string] $Call.argv[0]; return ConvertTo-Text (Invoke-Start $Call $Id $Index) }
            'poll' { return ConvertTo-Text (Invoke-Poll $Call $Id $Index) }
            'stop' {
                if ($null -eq $Jobs[[string] $Call.job]) { return ConvertTo-Text (New-Failure 'not-found' ('no job ' + $Call.job)) }
                Remove-Job ([string] $Call.job)
                return '{}'
            }
            default { return ConvertTo-Text (New-Failure 'error' ("unknown op '" + $what + "'")) }
        }
    }
    catch { return ConvertTo-Text (ConvertTo-Failure $_ $what) }
}

# Like ConvertFrom-Json, but without converting dates.
function ConvertFrom-Element($Element) {
    switch ([string] $Element.ValueKind) {
        'Object' {
            $object = New-Object PSObject
            foreach ($each in $Element.EnumerateObject()) {
                if ($null -ne $object.PSObject.Properties[$each.Name]) { throw ('two names differ only in case: ' + $each.Name) }
                $object.PSObject.Properties.Add((New-Object Management.Automation.PSNoteProperty($each.Name, (ConvertFrom-Element $each.Value))))
            }
            return $object
        }
        'Array' {
            $list = New-Object Collections.ArrayList
            foreach ($each in $Element.EnumerateArray()) { $null = $list.Add((ConvertFrom-Element $each)) }
            return , $list.ToArray()
        }
        'String' { return $Element.GetString() }
        'Number' {
            $whole = [int64] 0
            if ($Element.TryGetInt64([ref] $whole)) { return $whole }
            return $Element.GetDouble()
        }
        'True' { return $true }
        'False' { return $false }
        default { return $null }
    }
}

# ConvertFrom-Json is faster than the reader above, so it parses all text without anything like a date.
function ConvertFrom-Text([string] $Text) {
    if ($null -eq $JsonDocument -or $Text -notmatch '[0-9]-[0-9]{2}-[0-9]|/Date|\\[u/]') { return ConvertFrom-Json -InputObject $Text }
    $document = $JsonDocument::Parse($Text)
    try { ConvertFrom-Element $document.RootElement } finally { $document.Dispose() }
}

function ConvertFrom-Base64([string] $Line) {
    $Utf8.GetString([Convert]::FromBase64String($Line.Trim()))
}

function Invoke-Request([string] $Line) {
    $id = 'null'
    try {
        $text = ConvertFrom-Base64 $Line
        # read first, so that the answer to an invalid request has the ID too
        if ($text -match '\A\s*\{\s*"id"\s*:\s*([0-9]+)') { $id = $Matches[1] }
        $request = ConvertFrom-Text $text
        $calls = @($request.calls)
    }
    catch {
        $failure = New-Failure 'error' ('the request cannot be read: ' + $_.Exception.GetBaseException().Message)
        return '{"id":' + $id + ',"error":' + (ConvertTo-Text $failure.error) + '}'
    }
    $Hung.Clear()
    $replies = New-Object Collections.Generic.List[string]
    foreach ($one in $calls) { $replies.Add([string] (Invoke-Call $one $id $replies.Count)) }
    '{"id":' + $id + ',"replies":[' + ($replies -join ',') + ']}'
}

$Greeting = ConvertFrom-Text (ConvertFrom-Base64 ($Reader.ReadLine()))
$Nonce = [string] $Greeting.nonce
if (-not $Nonce -or $Greeting.protocol -ne 1) { throw 'the second line is no greeting of protocol 1' }
Write-Line (ConvertTo-Text @{
        hello = 1; ps_version = [string] $PSVersionTable.PSVersion
        language_mode = [string] $ExecutionContext.SessionState.LanguageMode; pid = $PID
    })

try {
    while ($null -ne ($Line = $Reader.ReadLine())) {
        if ($Line.Trim() -ne '') { Write-Line (Invoke-Request $Line) }
    }
}
finally {
    # the client is gone: end unfinished programs and remove partial files
    foreach ($Left in @($Jobs.Keys)) { Remove-Job $Left }
    foreach ($Left in @($Parts.Keys)) { Remove-Part $Left }
}
