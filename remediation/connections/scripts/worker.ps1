# The worker of docs/worker-protocol.md: lines of base64 JSON in by $Reader, "<nonce> <base64 JSON>" lines out.
# Windows PowerShell 5.1 is the oldest it runs on. The automatic variable of piped input is not used here: the bootstrap reads stdin.
param($Reader)

Set-StrictMode -Off
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'

$Utf8 = New-Object Text.UTF8Encoding $false
$Output = [Console]::OpenStandardOutput()
$SliceSize = 300000
# Of each stream of a program; what comes beyond it is read and dropped, so that memory lasts and the program ends as it would.
$OutputLimit = 32MB
$PartSuffix = '.remediation-part'
$Scripts = @{}
$Jobs = @{}
$OnWindows = [Environment]::OSVersion.Platform -eq [PlatformID]::Win32NT

# .NET writes a byte order mark into a child's stdin when the console's code page is UTF-8 (65001) with its mark.
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
        # 2 no such file, 3 no such path, 267 the working folder is none; 5 access denied (13 on other systems)
        if (@(2, 3, 267) -contains $cause.NativeErrorCode) { $kind = 'not-found' }
        elseif (@(5, 13) -contains $cause.NativeErrorCode) { $kind = 'denied' }
    }
    elseif ($cause -is [IO.FileNotFoundException] -or $cause -is [IO.DirectoryNotFoundException]) { $kind = 'not-found' }
    elseif ($cause -is [UnauthorizedAccessException]) { $kind = 'denied' }
    New-Failure $kind ($What + ': ' + $cause.Message)
}

# What CommandLineToArgvW takes apart again: quoted if empty or with space, tab, line end or quote; backslashes doubled before a quote.
function ConvertTo-Argument([string] $Text) {
    if ($Text -ne '' -and $Text -notmatch '[ \t\r\n\v"]') { return $Text }
    $quoted = [regex]::Replace($Text, '(\\*)"', '$1$1\"')
    $quoted = [regex]::Replace($quoted, '(\\+)\z', '$1$1')
    '"' + $quoted + '"'
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
    if ($Call.env) {
        foreach ($entry in $Call.env.PSObject.Properties) { $info.EnvironmentVariables[$entry.Name] = [string] $entry.Value }
    }
    $process = [Diagnostics.Process]::Start($info)
    $job = @{ process = $process; streams = @{}; feeding = $null }
    foreach ($name in 'stdout', 'stderr') {
        $stream = if ($name -eq 'stdout') { $process.StandardOutput.BaseStream } else { $process.StandardError.BaseStream }
        $buffer = New-Object byte[] 65536
        $job.streams[$name] = @{
            stream = $stream; buffer = $buffer; reading = $stream.ReadAsync($buffer, 0, $buffer.Length); gathered = New-Object IO.MemoryStream; over = $false
        }
    }
    # not by "= if": what a block emits is taken apart into single objects
    $bytes = [Convert]::FromBase64String([string] $Call.stdin)
    if ($bytes.Length -gt 0) { $job.feeding = $process.StandardInput.BaseStream.WriteAsync($bytes, 0, $bytes.Length) }
    else { Close-Feed $job }
    $job
}

# A program may end without having read its stdin; that is its right.
function Close-Feed($Job) {
    $Job.feeding = $null
    try { $Job.process.StandardInput.Close() } catch { $null = $_ }
}

# Move what the program says into memory for so many milliseconds; true once it has ended and said everything.
function Receive-Program($Job, [double] $Milliseconds) {
    $watch = [Diagnostics.Stopwatch]::StartNew()
    $quietSince = $null
    while ($true) {
        $open = @($Job.streams.Values | Where-Object { $null -ne $_.reading })
        $ended = $Job.process.HasExited
        if ($ended -and $open.Count -eq 0) { return $true }
        if ($ended) {
            # what it started may hold the pipes open for ever: half a second without a byte is the end
            if ($null -eq $quietSince) { $quietSince = $watch.ElapsedMilliseconds }
            if ($watch.ElapsedMilliseconds - $quietSince -gt 500) { return $true }
        }
        $left = $Milliseconds - $watch.ElapsedMilliseconds
        if ($left -le 0) { return $false }
        $pause = [int] [Math]::Min($left, 100)
        $tasks = @($open | ForEach-Object { $_.reading })
        if ($null -ne $Job.feeding) { $tasks += $Job.feeding }
        if ($tasks.Count -eq 0) { $null = $Job.process.WaitForExit($pause); continue }
        if ([Threading.Tasks.Task]::WaitAny([Threading.Tasks.Task[]] $tasks, $pause) -lt 0) { continue }
        if ($null -ne $Job.feeding -and $Job.feeding.IsCompleted) { Close-Feed $Job }
        foreach ($one in $open) {
            if (-not $one.reading.IsCompleted) { continue }
            $count = 0
            if (-not $one.reading.IsFaulted) { $count = $one.reading.Result }
            if ($count -gt 0) {
                $quietSince = $null
                if ($one.gathered.Length + $count -gt $OutputLimit) { $one.over = $true }
                else { $one.gathered.Write($one.buffer, 0, $count) }
                $one.reading = $one.stream.ReadAsync($one.buffer, 0, $one.buffer.Length)
            }
            else { $one.reading = $null }
        }
    }
}

function Stop-Program($Job) {
    try {
        if ($Job.process.HasExited) { return }
        if ($PSVersionTable.PSVersion.Major -ge 7) { $Job.process.Kill($true); return }
        $info = New-Object Diagnostics.ProcessStartInfo
        $info.FileName = 'taskkill.exe'
        $info.Arguments = '/F /T /PID ' + $Job.process.Id
        $info.UseShellExecute = $false
        $info.CreateNoWindow = $true
        $info.RedirectStandardInput = $true
        $info.RedirectStandardOutput = $true
        $info.RedirectStandardError = $true
        $null = [Diagnostics.Process]::Start($info).WaitForExit(5000)
        if (-not $Job.process.HasExited) { $Job.process.Kill() }
    }
    catch { $null = $_ }
}

# What came so far, as base64; more than a slice of it leaves in frames of its own.
function Get-Stream($Job, [string] $Name, $Id, [int] $Index) {
    $one = $Job.streams[$Name]
    $bytes = $one.gathered.ToArray()
    $one.gathered.SetLength(0)
    $at = 0
    while ($bytes.Length - $at -gt $SliceSize) {
        $data = [Convert]::ToBase64String($bytes, $at, $SliceSize)
        Write-Line (ConvertTo-Text @{ id = $Id; call = $Index; stream = $Name; data = $data })
        $at += $SliceSize
    }
    [Convert]::ToBase64String($bytes, $at, $bytes.Length - $at)
}

function Get-Outcome($Job, $Id, [int] $Index) {
    foreach ($name in 'stdout', 'stderr') {
        if ($Job.streams[$name].over) { return New-Failure 'error' ('its ' + $name + ' is larger than 32 MB, the most that is accepted') }
    }
    $code = $null
    if ($Job.process.HasExited) { $code = ([int64] $Job.process.ExitCode) -band 4294967295 }
    @{ rc = $code; stdout = (Get-Stream $Job 'stdout' $Id $Index); stderr = (Get-Stream $Job 'stderr' $Id $Index) }
}

function Invoke-Run($Call, $Id, [int] $Index) {
    $job = Start-Program $Call
    if (-not (Receive-Program $job ([double] $Call.timeout * 1000))) {
        Stop-Program $job
        return New-Failure 'timeout' ([string] $Call.argv[0] + ' did not end in ' + $Call.timeout + ' s and was told to stop')
    }
    Get-Outcome $job $Id $Index
}

function Invoke-Poll($Call, $Id, [int] $Index) {
    $job = $Jobs[[string] $Call.job]
    if ($null -eq $job) { return New-Failure 'not-found' ('no job ' + $Call.job) }
    $done = Receive-Program $job ([double] $Call.wait * 1000)
    $said = Get-Outcome $job $Id $Index
    if ($null -ne $said.error) {
        Stop-Program $job
        $Jobs.Remove([string] $Call.job)
        return $said
    }
    if (-not $done) { $said.rc = $null }
    $said.done = $done
    $said
}

# For probes, which run below Invoke-Probe and so see this function and whose call it is: the beginning of an answer, while the rest
# is still to come. It leaves at once, in a frame of its own; what was told here is not said again in the probe's value.
function Send-Told([byte[]] $Bytes) {
    Write-Line (ConvertTo-Text @{ id = $ToldRequest; call = $ToldCall; stream = 'told'; data = [Convert]::ToBase64String($Bytes) })
}

function Invoke-Probe($Call, $ToldRequest, [int] $ToldCall) {
    $hash = ([string] $Call.sha256).ToLowerInvariant()
    if ($Call.script) {
        $bytes = [Convert]::FromBase64String($Call.script)
        $found = [BitConverter]::ToString([Security.Cryptography.SHA256]::Create().ComputeHash($bytes)).Replace('-', '').ToLowerInvariant()
        if ($found -ne $hash) { return ConvertTo-Text (New-Failure 'error' ("the script of probe '" + $Call.name + "' is not the one its hash announces")) }
        $Scripts[$hash] = [ScriptBlock]::Create($Utf8.GetString($bytes))
    }
    $block = $Scripts[$hash]
    if ($null -eq $block) { return ConvertTo-Text (New-Failure 'need-script' ("probe '" + $Call.name + "' has not been sent yet")) }
    $Data = $Call.data
    $Timeout = $Call.timeout
    $said = @(& $block $Data)
    # one text is JSON already; anything else is made JSON here
    $text = if ($said.Count -eq 0) { 'null' }
    elseif ($said.Count -eq 1 -and $said[0] -is [string]) { [string] $said[0] }
    elseif ($said.Count -eq 1) { ConvertTo-Text $said[0] }
    else { ConvertTo-Text $said }
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

function Write-Part($Call) {
    $path = [string] $Call.path
    $part = $path + $PartSuffix
    $bytes = [Convert]::FromBase64String([string] $Call.content)
    $offset = [int64] $Call.offset
    $mode = if ($offset -eq 0) { [IO.FileMode]::Create } else { [IO.FileMode]::Open }
    $file = New-Object IO.FileStream($part, $mode, [IO.FileAccess]::ReadWrite, [IO.FileShare]::None)
    $found = ''
    try {
        if ($file.Length -lt $offset) { return New-Failure 'error' ($part + ' has ' + $file.Length + ' bytes, the next slice starts at ' + $offset) }
        $null = $file.Seek($offset, [IO.SeekOrigin]::Begin)
        $file.Write($bytes, 0, $bytes.Length)
        $file.SetLength($offset + $bytes.Length)
        $size = $file.Length
        if ($Call.last) {
            $file.Flush($true)
            $null = $file.Seek(0, [IO.SeekOrigin]::Begin)
            $found = [BitConverter]::ToString([Security.Cryptography.SHA256]::Create().ComputeHash($file)).Replace('-', '').ToLowerInvariant()
        }
    }
    finally { $file.Dispose() }
    if ($Call.last) {
        if ($found -ne ([string] $Call.sha256).ToLowerInvariant()) {
            [IO.File]::Delete($part)
            return New-Failure 'error' ('what arrived for ' + $path + ' has another SHA-256 than what was sent')
        }
        if ([IO.File]::Exists($path)) {
            if ($Call.backup) { [IO.File]::Copy($path, [string] $Call.backup, $true) }
            # keeps the owner and the access rules of the file that is replaced
            [IO.File]::Replace($part, $path, [NullString]::Value)
        }
        else { [IO.File]::Move($part, $path) }
    }
    @{ size = $size }
}

# Returns JSON text.
function Invoke-Call($Call, $Id, [int] $Index) {
    $what = [string] $Call.op
    try {
        switch -CaseSensitive ($what) {
            'run' { $what = [string] $Call.argv[0]; return ConvertTo-Text (Invoke-Run $Call $Id $Index) }
            'probe' { $what = 'probe ' + $Call.name; return Invoke-Probe $Call $Id $Index }
            'read' { $what = [string] $Call.path; return ConvertTo-Text (Read-Part $Call) }
            'write' { $what = [string] $Call.path; return ConvertTo-Text (Write-Part $Call) }
            'start' {
                $what = [string] $Call.argv[0]
                $name = [guid]::NewGuid().ToString('N')
                $Jobs[$name] = Start-Program $Call
                return ConvertTo-Text @{ job = $name }
            }
            'poll' { return ConvertTo-Text (Invoke-Poll $Call $Id $Index) }
            'stop' {
                if ($null -eq $Jobs[[string] $Call.job]) { return ConvertTo-Text (New-Failure 'not-found' ('no job ' + $Call.job)) }
                Stop-Program $Jobs[[string] $Call.job]
                $Jobs.Remove([string] $Call.job)
                return '{}'
            }
            default { return ConvertTo-Text (New-Failure 'error' ("unknown op '" + $what + "'")) }
        }
    }
    catch { return ConvertTo-Text (ConvertTo-Failure $_ $what) }
}

function ConvertFrom-Line([string] $Line) {
    ConvertFrom-Json -InputObject ($Utf8.GetString([Convert]::FromBase64String($Line.Trim())))
}

$Greeting = ConvertFrom-Line ($Reader.ReadLine())
$Nonce = [string] $Greeting.nonce
if (-not $Nonce -or $Greeting.protocol -ne 1) { throw 'the second line is no greeting of protocol 1' }
Write-Line (ConvertTo-Text @{
        hello = 1; ps_version = [string] $PSVersionTable.PSVersion
        language_mode = [string] $ExecutionContext.SessionState.LanguageMode; pid = $PID
    })

while ($null -ne ($Line = $Reader.ReadLine())) {
    if ($Line.Trim() -eq '') { continue }
    $Request = ConvertFrom-Line $Line
    $Replies = New-Object Collections.Generic.List[string]
    $Number = 0
    foreach ($One in @($Request.calls)) {
        $Replies.Add([string] (Invoke-Call $One $Request.id $Number))
        $Number += 1
    }
    Write-Line ('{"id":' + $Request.id + ',"replies":[' + ($Replies -join ',') + ']}')
}

foreach ($Left in @($Jobs.Values)) { Stop-Program $Left }
