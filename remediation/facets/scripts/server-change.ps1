# Changes settings of a native Ollama server, and restarts it. Data: kind (app, service, task or null for no restart); name (of the
# service or task); values (a list of key, name, value or null, kind and list: variables in the registry, list for a value that holds
# lines NAME=VALUE); database and columns (settings of the app by column, or null); arguments (of the app); sqlite (the text of sqlite.cs).
# The app is stopped before its database is written, because it rewrites the whole record, and it is started again whatever happens.
# The command-line tool is never run: it would start the app in this login's session.
param($Data)

$steps = New-Object Collections.ArrayList

function Set-Setting([object] $Change) {
    $path = [string] $Change.key
    if ($Change.list) {
        $lines = New-Object Collections.ArrayList
        $key = Get-Item -LiteralPath $path -ErrorAction Stop
        foreach ($line in @($key.GetValue([string] $Change.list, $null))) {
            if ($null -ne $line -and ([string] $line).Split('=')[0] -ne $Change.name) { $null = $lines.Add([string] $line) }
        }
        if ($null -ne $Change.value) { $null = $lines.Add($Change.name + '=' + $Change.value) }
        $null = New-ItemProperty -LiteralPath $path -Name ([string] $Change.list) -Value ([string[]] $lines.ToArray()) -PropertyType MultiString -Force -ErrorAction Stop
    }
    elseif ($null -eq $Change.value) { Remove-ItemProperty -LiteralPath $path -Name ([string] $Change.name) -ErrorAction Stop }
    else {
        $null = New-ItemProperty -LiteralPath $path -Name ([string] $Change.name) -Value ([string] $Change.value) -PropertyType ([string] $Change.kind) -Force -ErrorAction Stop
    }
    $null = $steps.Add('wrote ' + $Change.name)
}

# The processes of Ollama whose programs lie in one folder: the app first, so that it starts no server again, then servers and runners.
# A client (ollama run, ollama pull) is a user's and is left alone.
function Get-Programs([string] $Folder) {
    $all = @(Get-CimInstance -ClassName Win32_Process -ErrorAction Stop)
    foreach ($one in $all) { if ($one.Name -eq 'ollama app.exe') { $one } }
    foreach ($one in $all) {
        if (-not $Folder -or -not $one.ExecutablePath) { continue }
        if (-not ([string] $one.ExecutablePath).ToLowerInvariant().StartsWith($Folder.ToLowerInvariant() + '\')) { continue }
        if ($one.Name -eq 'llama-server.exe' -or $one.Name -eq 'ollama_llama_server.exe') { $one }
        elseif ($one.Name -eq 'ollama.exe' -and [string] $one.CommandLine -match '^("[^"]*"|[^\s"]+)\s+(serve|start|runner)\b') { $one }
    }
}

function Stop-Programs([string] $Folder) {
    for ($round = 0; $round -lt 20; $round++) {
        $found = @(Get-Programs $Folder)
        if ($found.Count -eq 0) { return }
        foreach ($one in $found) {
            try { Stop-Process -Id ([int] $one.ProcessId) -Force -ErrorAction Stop }
            catch { if ($_.CategoryInfo.Category -ne 'ObjectNotFound') { throw } }
        }
        Start-Sleep -Milliseconds 500
    }
    throw ('still running: ' + (@(Get-Programs $Folder | ForEach-Object { [string] $_.Name + ' (' + $_.ProcessId + ')' }) -join ', '))
}

# The path of the app: that of the running one, else where the installer puts it for the desktop user.
function Get-App {
    $running = @(Get-CimInstance -ClassName Win32_Process -Filter "Name='ollama app.exe'" -ErrorAction Stop)
    foreach ($one in $running) { if ($null -ne $one -and $one.ExecutablePath) { return [string] $one.ExecutablePath } }
    $path = Join-Path (Get-Profile) 'AppData\Local\Programs\Ollama\ollama app.exe'
    if (Test-Path -LiteralPath $path -PathType Leaf -ErrorAction Stop) { return $path }
    throw 'the Ollama app is not installed for the desktop user'
}

function Set-Columns {
    Initialize-Sqlite ([string] $Data.sqlite)
    foreach ($column in 'expose', 'browser', 'models', 'context_length') {
        $value = $Data.columns.$column
        if ($null -eq $value) { continue }
        $null = [Remediation.Sqlite]::Run([string] $Data.database, $true, 'UPDATE settings SET ' + $column + ' = ?1 WHERE id = 1', @([string] $value))
        $null = $steps.Add('wrote ' + $column)
    }
}

function Restart-App {
    $app = Get-App
    # a desktop user is needed to start it again, so it is not stopped without one
    if (-not (Get-DesktopUser)) { throw 'no user is logged on at the desktop, so the app could not be started again' }
    $failed = $null
    try {
        Stop-Programs $app.Substring(0, $app.LastIndexOf('\'))
        $null = $steps.Add('stopped the app')
        if ($null -ne $Data.columns) { Set-Columns }
    }
    catch { $failed = Get-Reason $_ }
    $quoted = "'" + $app.Replace("'", "''") + "'"
    $start = '$null = Start-Process ' + $quoted
    if ($Data.arguments) { $start += " -ArgumentList '" + ([string] $Data.arguments).Replace("'", "''") + "'" }
    $task = Invoke-UserTask ($start + '; 0') 30
    if ($task.task -eq 'ended' -and $task.answer -eq 0) { $null = $steps.Add('started the app') }
    elseif ($null -eq $failed) { $failed = 'the app could not be started at the desktop: ' + $task.task + ' ' + $Problems['task'] }
    if ($null -ne $failed) { throw $failed }
}

$problem = $null
try {
    foreach ($change in @($Data.values)) { if ($null -ne $change) { Set-Setting $change } }
    if ($Data.kind -ceq 'app') { Restart-App }
    elseif ($Data.kind -ceq 'service') {
        Restart-Service -Name ([string] $Data.name) -Force -ErrorAction Stop
        $null = $steps.Add('restarted the service')
    }
    elseif ($Data.kind -ceq 'task') {
        Stop-ScheduledTask -TaskName ([string] $Data.name) -ErrorAction Stop
        Start-ScheduledTask -TaskName ([string] $Data.name) -ErrorAction Stop
        $null = $steps.Add('restarted the task')
    }
}
catch { $problem = Get-Reason $_ }

ConvertTo-Json -Depth 20 -Compress -InputObject @{ Steps = $steps.ToArray(); Problem = $problem; Problems = $Problems }
