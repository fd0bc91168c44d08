# Functions shared by several probes. Each probe is sent with the functions that it uses, directly or indirectly (__init__.py).
# The lines before the first function are sent with every probe.
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'
# The reason for each missing part of the answer, by name. It distinguishes "access denied" from "does not exist".
$Problems = @{}
# A query that hangs must leave time for the other parts. Commands without this parameter are not affected.
$PSDefaultParameterValues = @{}
foreach ($each in 'Get-CimInstance', 'Get-CimClass', 'Invoke-CimMethod') { $PSDefaultParameterValues[$each + ':OperationTimeoutSec'] = 15 }

# Reads a part of the answer. On failure, returns null and puts the reason into $Problems. Wrap a list in @( ).
function Get-Part([string] $Name, [ScriptBlock] $Read) {
    try { & $Read }
    catch { $Problems[$Name] = Get-Reason $_ }
}

# The reason of a failure, in one line. It includes CIM's code, because messages are localized.
function Get-Reason($Record) {
    $cause = $Record.Exception.GetBaseException()
    $text = [string] $cause.Message
    # WSMan commands wrap the message in the XML of a fault
    if ($text -match '<(?:\w+:)?Message>([^<]+)</') { $text = [Net.WebUtility]::HtmlDecode($Matches[1]) }
    $text = ($text -replace '\s+', ' ').Trim()
    if (-not $text) { $text = $cause.GetType().Name }
    if ([string] $Record.FullyQualifiedErrorId -match '^HRESULT (0x[0-9A-Fa-f]{8})') { $text += ' (' + $Matches[1] + ')' }
    $text
}

# Whether an exception of one of these types is among the causes of a failure.
function Test-Cause($Record, [Type[]] $Types) {
    for ($cause = $Record.Exception; $null -ne $cause; $cause = $cause.InnerException) {
        foreach ($type in $Types) { if ($type.IsInstanceOfType($cause)) { return $true } }
    }
    $false
}

# Unix time, or null for null.
function ConvertTo-Epoch($Time) {
    if ($null -eq $Time) { return $null }
    (([DateTime] $Time).ToUniversalTime().Ticks - 621355968000000000) / 1e7
}

# Instances of explorer.exe with a screen. Session 0 contains the services.
function Get-Shell {
    foreach ($shell in @(Get-CimInstance -ClassName Win32_Process -Filter "Name='explorer.exe'" -ErrorAction Stop)) {
        if ($null -ne $shell -and $shell.SessionId -ne 0) { $shell }
    }
}

# The desktop user: the owner of explorer.exe in a session with a screen, else the user of the console; nothing if there is none.
# Throws if Windows does not answer. If explorer.exe ends between two queries, the next query is used.
function Get-DesktopUser {
    $refused = $null
    try {
        foreach ($shell in @(Get-Shell)) {
            try {
                $owner = @(Invoke-CimMethod -InputObject $shell -MethodName GetOwner -ErrorAction Stop)[0]
                if ($owner.ReturnValue -eq 0 -and $owner.User) { return $owner.Domain + '\' + $owner.User }
                throw ('Windows does not name the owner of explorer.exe (GetOwner returned ' + $owner.ReturnValue + ')')
            }
            catch { $refused = $_ }
        }
    }
    catch { $refused = $_ }
    try {
        $console = @(Get-CimInstance -ClassName Win32_ComputerSystem -Property UserName -ErrorAction Stop)[0]
        if ($null -eq $console) { throw 'Win32_ComputerSystem is empty' }
        if ($console.UserName) { return [string] $console.UserName }
    }
    catch { if ($null -eq $refused) { $refused = $_ } }
    if ($null -ne $refused) { throw $refused }
}

# The profile of the desktop user (the owner of explorer.exe), or of this login if there is none. Throws if Windows does not name
# the owner, because another user's files would be wrong.
function Get-Profile {
    $refused = $null
    foreach ($shell in @(Get-Shell)) {
        try {
            $owner = @(Invoke-CimMethod -InputObject $shell -MethodName GetOwnerSid -ErrorAction Stop)[0]
            if ($owner.ReturnValue -ne 0 -or -not $owner.Sid) {
                throw ('Windows does not name the owner of explorer.exe (GetOwnerSid returned ' + $owner.ReturnValue + ')')
            }
            $key = 'HKLM:\SOFTWARE\Microsoft\Windows NT\CurrentVersion\ProfileList\' + $owner.Sid
            $path = @(Get-ItemProperty -LiteralPath $key -ErrorAction Stop)[0].ProfileImagePath
            if ($path) { return [string] $path }
            throw ('the registry names no profile for ' + $owner.Sid)
        }
        catch { $refused = $_ }
    }
    if ($null -ne $refused) { throw $refused }
    if (-not $env:USERPROFILE) { throw 'this login has no profile' }
    [string] $env:USERPROFILE
}

# The SID of the user of the desktop: the owner of explorer.exe in a session with a screen; nothing if there is none.
function Get-DesktopSid {
    $refused = $null
    foreach ($shell in @(Get-Shell)) {
        try {
            $owner = @(Invoke-CimMethod -InputObject $shell -MethodName GetOwnerSid -ErrorAction Stop)[0]
            if ($owner.ReturnValue -eq 0 -and $owner.Sid) { return [string] $owner.Sid }
            throw ('Windows does not name the owner of explorer.exe (GetOwnerSid returned ' + $owner.ReturnValue + ')')
        }
        catch { $refused = $_ }
    }
    if ($null -ne $refused) { throw $refused }
}

# Defines the class that runs SQL, from its text (sqlite.cs). Windows has SQLite as winsqlite3.dll, and no command for it.
function Initialize-Sqlite([string] $Text) {
    if ('Remediation.Sqlite' -as [type]) { return }
    Add-Type -TypeDefinition $Text -ErrorAction Stop
}

# The unsigned Windows code of a failure, or nothing. A CimException has it in its identifiers, not in HResult.
function Get-WindowsCode($Record) {
    $cause = $Record.Exception.GetBaseException()
    foreach ($text in @($cause.MessageId, $Record.FullyQualifiedErrorId)) {
        if ([string] $text -match 'HRESULT 0x([0-9A-Fa-f]{1,8})') { return [Convert]::ToInt64($Matches[1], 16) }
    }
    if ($cause -is [ComponentModel.Win32Exception] -and $cause.NativeErrorCode -gt 0 -and $cause.NativeErrorCode -lt 65536) {
        return 2147942400 + $cause.NativeErrorCode
    }
    $code = [int64] $cause.HResult -band 4294967295
    # 0x8013xxxx are .NET codes, which do not say what Windows reported
    if ([Math]::Floor($code / 65536) -ne 32787) { $code }
}

# The text of a file, or nothing if it does not exist. The file may be open for writing; an exclusive lock is retried briefly.
function Read-Text([string] $Path) {
    for ($round = 0; $true; $round++) {
        try {
            $file = New-Object IO.FileStream($Path, [IO.FileMode]::Open, [IO.FileAccess]::Read, [IO.FileShare] 'ReadWrite, Delete')
            try { return (New-Object IO.StreamReader($file, [Text.Encoding]::UTF8, $true)).ReadToEnd() }
            finally { $file.Dispose() }
        }
        catch {
            $cause = $_.Exception.GetBaseException()
            if ($cause -is [IO.FileNotFoundException] -or $cause -is [IO.DirectoryNotFoundException]) { return $null }
            if ($cause -isnot [IO.IOException] -or $round -ge 3) { throw }
            Start-Sleep -Milliseconds 200
        }
    }
}

# Runs a script as a one-shot scheduled task of the desktop user. `task` in the result is one of:
#   ended    it ran to its end; `answer` is the number from 0 to 65535 that it returned
#   failed   it ended in another way; `code` is what Windows reports
#   running  it had not ended within $Seconds, or $Enough, which gets the latest code, returned true
#   refused  Windows did not let this login start it
#   no-user  no user is logged on
# The reason is in $Problems.task. The scheduler's result is ambiguous, so the script writes its answer to a file or, if it cannot,
# exits with a code in which bit 29 is set, which Windows reserves for applications.
function Invoke-UserTask([string] $Text, [double] $Seconds, [ScriptBlock] $Enough) {
    $done = @{ task = 'refused'; answer = $null; code = $null; user = $null }
    try { $done.user = Get-DesktopUser }
    catch {
        $Problems['task'] = 'Windows does not say who sits at the desktop: ' + (Get-Reason $_)
        $done.code = Get-WindowsCode $_
        return $done
    }
    if (-not $done.user) {
        $done.task = 'no-user'
        $done.code = 2147946720 # 0x800710E0
        return $done
    }
    $mark = 760872960 # 0x2D5A0000
    $name = 'remediation-' + [guid]::NewGuid().ToString('N')
    # The folder is removed with the task, so a task that ends late writes nothing. All users may write below ProgramData.
    $folder = $null
    $file = $null
    try {
        $folder = [IO.Directory]::CreateDirectory((Join-Path $env:ProgramData $name)).FullName
        $file = Join-Path $folder 'answer'
    }
    catch { $null = $_ }
    $answering = {
        $ErrorActionPreference = 'Stop'
        try { $answer = [Math]::Min(65535, [int] @(& $work)[-1]) } catch { exit $_.Exception.GetBaseException().HResult }
        try { [IO.File]::WriteAllText($file, "answer $answer.") } catch { $null = $_ }
        exit ($mark + $answer)
    }
    $quoted = "'" + ([string] $file).Replace("'", "''") + "'"
    $whole = '$mark = ' + $mark + '; $file = ' + $quoted + '; $work = {' + $Text + '}; ' + $answering.ToString()
    $encoded = [Convert]::ToBase64String([Text.Encoding]::Unicode.GetBytes($whole))
    $registered = $false
    try {
        # commands of a module use the session's preference variables, not this script's
        $program = Join-Path $env:SystemRoot 'System32\WindowsPowerShell\v1.0\powershell.exe'
        $action = New-ScheduledTaskAction -Execute $program -Argument ('-NoProfile -NonInteractive -WindowStyle Hidden -EncodedCommand ' + $encoded) -ErrorAction Stop
        $principal = New-ScheduledTaskPrincipal -UserId $done.user -LogonType Interactive -RunLevel Limited -ErrorAction Stop
        # child processes inherit the priority, and the default of a scheduled task would keep them slow
        $settings = New-ScheduledTaskSettingsSet -AllowStartIfOnBatteries -DontStopIfGoingOnBatteries -Priority 4 -ExecutionTimeLimit (New-TimeSpan -Minutes 10) -ErrorAction Stop
        if ($null -eq $action -or $null -eq $principal -or $null -eq $settings) { throw 'Windows returned no description of the task' }
        $registered = $null -ne (Register-ScheduledTask -TaskName $name -Action $action -Principal $principal -Settings $settings -ErrorAction Stop)
        if (-not $registered) { throw 'Register-ScheduledTask returned no task' }
        $null = Start-ScheduledTask -TaskName $name -ErrorAction Stop
        $done.task = 'running'
        $watch = [Diagnostics.Stopwatch]::StartNew()
        while ($done.task -eq 'running' -and $watch.Elapsed.TotalSeconds -lt $Seconds) {
            Start-Sleep -Milliseconds 250
            Update-UserTask $name $file $mark $done
            if ($done.task -eq 'running' -and $null -ne $Enough -and (& $Enough $done.code)) { break }
        }
    }
    catch {
        $Problems['task'] = Get-Reason $_
        $done.code = Get-WindowsCode $_
        if ($done.code -eq 2147946720) { $done.task = 'no-user' }
    }
    finally { Remove-UserTask $name $registered $folder }
    $done
}

# Updates `task`, `answer` and `code` of a started task.
function Update-UserTask([string] $Name, [string] $File, [int] $Mark, $Done) {
    $code = $null
    $answer = ''
    try {
        $result = @(Get-ScheduledTaskInfo -TaskName $Name -ErrorAction Stop)[0].LastTaskResult
        if ($null -eq $result) { throw 'Get-ScheduledTaskInfo returned no result' }
        $code = [int64] $result -band 4294967295
        $Done.code = $code
        $Problems.Remove('task')
    }
    # it was started, so it may be running
    catch { $Problems['task'] = 'Windows does not say what became of the task: ' + (Get-Reason $_) }
    # read after the code: a task that has ended has written its answer
    try { if ($File) { $answer = [string] (Read-Text $File) } } catch { $null = $_ }
    if ($answer -match '^answer (\d+)\.$') { $Done.answer = [int] $Matches[1] }
    elseif ($null -ne $code -and [Math]::Floor($code / 65536) -eq $Mark / 65536) { $Done.answer = [int] ($code - $Mark) }
    if ($null -ne $Done.answer) {
        $Done.task = 'ended'
        $Done.code = $null
        $Problems.Remove('task')
    }
    elseif ($code -eq 2147946720) { $Done.task = 'no-user' }
    # 267009: running, 267011: has not run yet, 267045: queued
    elseif ($null -ne $code -and @(267009, 267011, 267045) -notcontains $code) { $Done.task = 'failed' }
}

# Removes a task and its folder, with retries, so that nothing is left behind.
function Remove-UserTask([string] $Name, [bool] $Registered, [string] $Folder) {
    $task = $true
    for ($round = 0; $round -lt 4; $round++) {
        if ($round -gt 0) { Start-Sleep -Milliseconds 250 }
        $Problems.Remove('task_left')
        if ($task) {
            try {
                $null = Unregister-ScheduledTask -TaskName $Name -Confirm:$false -ErrorAction Stop
                $task = $false
            }
            catch {
                # a failed registration has usually left nothing
                $task = $Registered -and $_.CategoryInfo.Category -ne 'ObjectNotFound'
                if ($task) { $Problems['task_left'] = 'the task ' + $Name + ' stays behind: ' + (Get-Reason $_) }
            }
        }
        try { if ($Folder -and [IO.Directory]::Exists($Folder)) { [IO.Directory]::Delete($Folder, $true) } }
        catch { $Problems['task_left'] = $Folder + ' stays behind: ' + (Get-Reason $_) }
        if (-not $Problems.ContainsKey('task_left')) { return }
    }
}

# The path of nvidia-smi, or nothing. Throws if a folder is inaccessible and nvidia-smi is in no other.
function Find-Smi {
    $refused = $null
    foreach ($place in @(@($env:SystemRoot, 'System32\nvidia-smi.exe'), @($env:ProgramFiles, 'NVIDIA Corporation\NVSMI\nvidia-smi.exe'))) {
        if (-not $place[0]) { continue }
        try {
            $path = Join-Path $place[0] $place[1]
            if (Test-Path -LiteralPath $path -PathType Leaf) { return $path }
        }
        catch { $refused = $_ }
    }
    $found = Get-Command -Name 'nvidia-smi.exe' -CommandType Application -ErrorAction SilentlyContinue | Select-Object -First 1
    if ($found) { return $found.Path }
    if ($null -ne $refused) { throw $refused }
}

# Starts a program by its full path and begins to read its output. Its child processes cannot block the reader.
function Start-Reading([string] $Path, [string] $Arguments) {
    $info = New-Object Diagnostics.ProcessStartInfo
    $info.FileName = $Path
    $info.Arguments = $Arguments
    $info.UseShellExecute = $false
    $info.CreateNoWindow = $true
    $info.RedirectStandardInput = $true
    $info.RedirectStandardOutput = $true
    $info.RedirectStandardError = $true
    $process = [Diagnostics.Process]::Start($info)
    try { $process.StandardInput.Close() } catch { $null = $_ }
    $started = @{ process = $process }
    foreach ($name in 'stdout', 'stderr') {
        $one = @{}
        $started[$name] = $one
        $one.stream = if ($name -eq 'stdout') { $process.StandardOutput.BaseStream } else { $process.StandardError.BaseStream }
        $one.buffer = New-Object byte[] 16384
        $one.text = New-Object Text.StringBuilder
        $one.reading = $one.stream.ReadAsync($one.buffer, 0, $one.buffer.Length)
    }
    $started
}

# Reads a program's output for a limited time. Returns true when the program has ended and its output is complete.
function Wait-Reading($Started, [double] $Milliseconds) {
    $watch = [Diagnostics.Stopwatch]::StartNew()
    $quiet = $null
    while ($true) {
        $came = $false
        foreach ($one in $Started.stdout, $Started.stderr) {
            if ($null -eq $one.reading -or -not $one.reading.IsCompleted) { continue }
            $came = $true
            $count = 0
            if ($one.reading.Status -eq 'RanToCompletion') { $count = $one.reading.Result }
            if ($count -le 0) { $one.reading = $null; continue }
            # output beyond the limit is dropped, so that the program can continue
            if ($one.text.Length -lt 1000000) { $null = $one.text.Append([Text.Encoding]::UTF8.GetString($one.buffer, 0, $count)) }
            $one.reading = $one.stream.ReadAsync($one.buffer, 0, $one.buffer.Length)
        }
        if ($came) { $quiet = $null }
        $open = @(@($Started.stdout, $Started.stderr) | Where-Object { $null -ne $_.reading } | ForEach-Object { $_.reading })
        if ($Started.process.HasExited) {
            # a child process may keep the pipes open forever, so half a second without output is the end
            if ($open.Count -eq 0) { return $true }
            if ($null -eq $quiet) { $quiet = $watch.ElapsedMilliseconds }
            if ($watch.ElapsedMilliseconds - $quiet -gt 500) { return $true }
        }
        $left = $Milliseconds - $watch.ElapsedMilliseconds
        if ($left -le 0) { if ($came) { continue } else { return $false } }
        $pause = [int] [Math]::Min($left, 50)
        if ($open.Count -eq 0) { $null = $Started.process.WaitForExit($pause) }
        else { $null = [Threading.Tasks.Task]::WaitAny([Threading.Tasks.Task[]] $open, $pause) }
    }
}

# Kills a program without waiting for it: a program that hangs in a driver never ends.
function Stop-Reading($Started) {
    try { if (-not $Started.process.HasExited) { $Started.process.Kill() } } catch { $null = $_ }
}

# Runs nvidia-smi for these fields. On timeout, the code is 255 with the reason.
function Invoke-Smi([string] $Program, $Fields, [double] $Seconds) {
    $started = Start-Reading $Program ('--query-gpu=' + (@($Fields) -join ',') + ' --format=csv,noheader,nounits')
    if (-not (Wait-Reading $started ($Seconds * 1000))) {
        Stop-Reading $started
        return @{ rc = 255; stdout = ''; stderr = 'nvidia-smi did not answer within ' + [Math]::Round($Seconds) + ' s' }
    }
    $code = ([int64] $started.process.ExitCode) -band 4294967295
    @{ rc = $code; stdout = $started.stdout.text.ToString(); stderr = $started.stderr.text.ToString() }
}

# Sends one HTTP request. Web: method, url, body (JSON text or null), timeout (seconds); silence (seconds without data before the
# request times out, or null); tell: send received data about once a second with the worker's Send-Chunk, and return the rest as body;
# keep: on a timeout within an answer, return the received part with the error. Redirects are not followed.
# Everything is in this one function, so that it can run in a separate runspace.
function Invoke-Web {
    param($Web)
    $ErrorActionPreference = 'Stop'
    $watch = [Diagnostics.Stopwatch]::StartNew()
    $limit = [double] $Web.timeout * 1000
    # as in remediation/model/limits.py: an answer that is not streamed must fit into one line of the worker
    $megabytes = if ($Web.tell) { 64 } else { 16 }
    $most = $megabytes * 1048576
    $tooLarge = 'the answer is larger than ' + $megabytes + ' MB, the most that is accepted'
    [Net.ServicePointManager]::Expect100Continue = $false
    # Windows PowerShell 5.1 offers only old protocols by default; registries need TLS 1.2
    [Net.ServicePointManager]::SecurityProtocol = [Net.ServicePointManager]::SecurityProtocol -bor [Net.SecurityProtocolType]::Tls12

    function Get-Left { [int] [Math]::Max(1, [Math]::Min([int]::MaxValue, $limit - $watch.ElapsedMilliseconds)) }

    # Milliseconds to wait for the next byte.
    function Get-Patience {
        if ($Web.silence) { [int] [Math]::Max(1, [Math]::Min((Get-Left), [double] $Web.silence * 1000)) }
        else { Get-Left }
    }

    # Waits for a read and sends pending data meanwhile. Returns false on timeout.
    function Wait-Bytes($Reading, $Target) {
        $until = $limit
        if ($Web.silence) { $until = [Math]::Min($limit, $watch.ElapsedMilliseconds + [double] $Web.silence * 1000) }
        while ($true) {
            $now = $watch.ElapsedMilliseconds
            if ($now -ge $limit) { return $false }
            if ($now -ge $until) { throw (New-Object TimeoutException ('nothing came for ' + $Web.silence + ' s')) }
            if ($Reading.Wait([int] [Math]::Ceiling([Math]::Min($until - $now, 1000)))) { return $true }
            Step-Telling $Target
        }
    }

    # At most one frame per second, and none too large for a line.
    function Step-Telling($Target) {
        if (-not $Web.tell -or $Target.Length -eq 0) { return }
        if ($Target.Length -lt 200000 -and $watch.ElapsedMilliseconds - $sent[0] -lt 1000) { return }
        Send-Chunk ($Target.ToArray())
        $Target.SetLength(0)
        $sent[0] = $watch.ElapsedMilliseconds
    }

    function Read-Answer($Response) {
        $source = $Response.GetResponseStream()
        $target = New-Object IO.MemoryStream
        $first = $null
        $last = $null
        $cut = $false
        $all = [long] 0
        $sent = @(-1000)  # time of the last frame
        $reading = $null
        $buffer = New-Object byte[] 65536
        try {
            while ($true) {
                $reading = $source.ReadAsync($buffer, 0, $buffer.Length)
                if (-not (Wait-Bytes $reading $target)) {
                    if (-not $Web.keep -or $null -eq $first) { throw (New-Object TimeoutException) }
                    $cut = $true
                    break
                }
                $count = $reading.Result
                if ($count -le 0) { break }
                $last = $watch.Elapsed.TotalSeconds
                if ($null -eq $first) { $first = $last }
                $all += $count
                if ($all -gt $most) { throw (New-Object IO.InvalidDataException ($tooLarge)) }
                $target.Write($buffer, 0, $count)
                Step-Telling $target
            }
        }
        finally {
            # abort a pending read with the request; errors on closing are then expected
            if ($null -ne $reading -and -not $reading.IsCompleted) { $request.Abort() }
            try { $source.Close() } catch { $null = $_ }
        }
        $said = @{
            status = [int] $Response.StatusCode
            body = [Convert]::ToBase64String($target.ToArray())
            elapsed = $watch.Elapsed.TotalSeconds
            first_byte = $first
        }
        if ($Web.keep) { $said.last_byte = $last; $said.cut = $cut }
        if ($cut) { $said.error = @{ kind = 'timeout'; message = 'the answer was not complete within ' + $Web.timeout + ' s' } }
        # redirects are returned, not followed
        if ($said.status -ge 300 -and $said.status -lt 400) { $said.location = [string] $Response.Headers['Location'] }
        $said
    }

    $response = $null
    try {
        $request = [Net.WebRequest]::Create([string] $Web.url)
        $request.Method = [string] $Web.method
        $request.Proxy = $null
        $request.KeepAlive = $false
        $request.AllowAutoRedirect = $false
        $request.Timeout = Get-Patience
        $request.ReadWriteTimeout = Get-Patience
        if ($null -ne $Web.body) {
            $bytes = [Text.Encoding]::UTF8.GetBytes([string] $Web.body)
            $request.ContentType = 'application/json'
            $request.ContentLength = $bytes.Length
            $stream = $request.GetRequestStream()
            $stream.Write($bytes, 0, $bytes.Length)
            $stream.Close()
        }
        try { $response = $request.GetResponse() }
        catch {
            # a status of 400 or more is an exception that contains the response
            $failure = $_.Exception.GetBaseException()
            if ($failure -is [Net.WebException] -and $null -ne $failure.Response) { $response = $failure.Response }
            else { throw }
        }
        Read-Answer $response
    }
    catch {
        $kind = 'error'
        $cause = $_.Exception
        while ($null -ne $cause) {
            if ($cause -is [TimeoutException]) { $kind = 'timeout' }
            if ($cause -is [Net.Sockets.SocketException]) {
                if ($cause.SocketErrorCode -eq 'ConnectionRefused') { $kind = 'refused' }
                if ($cause.SocketErrorCode -eq 'TimedOut') { $kind = 'timeout' }
            }
            if ($cause -is [Net.WebException] -and $cause.Status -eq [Net.WebExceptionStatus]::Timeout) { $kind = 'timeout' }
            $cause = $cause.InnerException
        }
        $message = [string] $_.Exception.GetBaseException().Message
        @{ error = @{ kind = $kind; message = $message } }
    }
    finally { try { if ($null -ne $response) { $response.Close() } } catch { $null = $_ } }
}
