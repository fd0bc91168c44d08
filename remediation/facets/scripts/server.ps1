# Where a native Ollama server gets its settings from: the machine's environment, the desktop user's, a service's own, and the
# settings database of the app; and the file that the server's output goes to. Data: service (the name of a Windows service, or null);
# process (the server's, or null); sqlite (the text of sqlite.cs). The database also holds the user's chats:
# only the row of settings is read.
param($Data)

$names = '^(OLLAMA_|CUDA_|GPU_|NVIDIA_|ROCR_|HIP_|HSA_|GGML_|LLAMA_ARG_)'

# The variables of a registry key that a server reads: unexpanded, with their types.
function Get-Variables([string] $Path) {
    $key = Get-Item -LiteralPath $Path -ErrorAction Stop
    foreach ($name in @($key.GetValueNames())) {
        if ($name -notmatch $names) { continue }
        @{ Name = [string] $name; Value = [string] $key.GetValue($name, $null, 'DoNotExpandEnvironmentNames'); Kind = [string] $key.GetValueKind($name) }
    }
}

# The lines NAME=VALUE of a list in the registry; nothing if there is no such list.
function Get-Lines([string] $Path, [string] $Value) {
    if (-not (Test-Path -LiteralPath $Path -ErrorAction Stop)) { return }
    $key = Get-Item -LiteralPath $Path -ErrorAction Stop
    foreach ($line in @($key.GetValue($Value, $null))) {
        $name, $text = ([string] $line) -split '=', 2
        if ($name -match $names) { @{ Name = [string] $name; Value = [string] $text; Kind = 'MultiString'; Key = $Path } }
    }
}

# The file that the program of a service sends the server's output to: NSSM's AppStderr or AppStdout, or WinSW's file beside its
# configuration. Ollama logs to stderr.
function Get-ServiceLog([string] $Path) {
    $parameters = $Path + '\Parameters'
    if (Test-Path -LiteralPath $parameters -ErrorAction Stop) {
        $key = Get-Item -LiteralPath $parameters -ErrorAction Stop
        foreach ($name in 'AppStderr', 'AppStdout') {
            $file = [Environment]::ExpandEnvironmentVariables([string] $key.GetValue($name, $null))
            if (-not $file) { continue }
            if ($file -notmatch '^([A-Za-z]:|\\)') { $file = Join-Path ([string] $key.GetValue('AppDirectory', $null)) $file }
            return $file
        }
    }
    if (-not (Test-Path -LiteralPath $Path -ErrorAction Stop)) { return }
    $key = Get-Item -LiteralPath $Path -ErrorAction Stop
    if ([string] $key.GetValue('ImagePath', $null) -notmatch '^\s*(?:"([^"]+)\.exe"|(.+?)\.exe(?:\s|$))') { return }
    $base = [string] $Matches[1] + [string] $Matches[2]
    if (-not (Test-Path -LiteralPath ($base + '.xml') -PathType Leaf -ErrorAction Stop)) { return }
    $folder, $name = ($base -replace '[\\/][^\\/]*$', ''), ($base -replace '^.*[\\/]', '')
    if ([IO.File]::ReadAllText($base + '.xml') -match '<logpath>\s*([^<]+?)\s*</logpath>') {
        $folder = [Environment]::ExpandEnvironmentVariables($Matches[1].Replace('%BASE%', $folder))
    }
    Join-Path $folder ($name + '.err.log')
}

# The file that a shell's command line sends its program's output to; stderr before stdout.
function Get-Redirection([int] $Process) {
    $server = @(Get-CimInstance -ClassName Win32_Process -Filter ('ProcessId=' + $Process))[0]
    if ($null -eq $server -or -not $server.ParentProcessId) { return }
    $shell = @(Get-CimInstance -ClassName Win32_Process -Filter ('ProcessId=' + $server.ParentProcessId))[0]
    if ($null -eq $shell -or [string] $shell.Name -notmatch '^(cmd|powershell|pwsh)\.exe$') { return }
    foreach ($stream in '2', '1?') {
        if ([string] $shell.CommandLine -match ('(?<![0-9*])' + $stream + '>>?\s*("[A-Za-z]:\\[^"]+"|[A-Za-z]:\\[^\s"&|<>]+)')) { return $Matches[1].Trim('"') }
    }
}

$machine = @(Get-Part 'Machine' { Get-Variables 'Registry::HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Control\Session Manager\Environment' })
$sid = Get-Part 'Sid' { Get-DesktopSid }
$user = @(Get-Part 'User' {
        if ($Problems.ContainsKey('Sid')) { throw $Problems['Sid'] }
        if ($sid) { Get-Variables ('Registry::HKEY_USERS\' + $sid + '\Environment') }
    })
$services = 'Registry::HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services\'
$service = @(Get-Part 'Service' {
        if ($Data.service) {
            Get-Lines ($services + $Data.service) 'Environment'
            Get-Lines ($services + $Data.service + '\Parameters') 'AppEnvironmentExtra'
        }
    })
$log = Get-Part 'Log' {
    if ($Data.service) { Get-ServiceLog ($services + $Data.service) }
    elseif ($Data.process) { Get-Redirection ([int] $Data.process) }
}
$userFolder = Get-Part 'Profile' {
    if ($Problems.ContainsKey('Sid')) { throw $Problems['Sid'] }
    if ($sid) { [string] @(Get-ItemProperty -LiteralPath ('HKLM:\SOFTWARE\Microsoft\Windows NT\CurrentVersion\ProfileList\' + $sid) -ErrorAction Stop)[0].ProfileImagePath }
    else { [string] $env:USERPROFILE }
}
$database = Get-Part 'Database' {
    if (-not $userFolder) { throw ('the profile of the desktop user is not known: ' + $Problems['Profile']) }
    $path = Join-Path $userFolder 'AppData\Local\Ollama\db.sqlite'
    if (Test-Path -LiteralPath $path -PathType Leaf -ErrorAction Stop) { $path }
}
$app = Get-Part 'App' {
    if ($Problems.ContainsKey('Database')) { throw $Problems['Database'] }
    if ($database) {
        Initialize-Sqlite ([string] $Data.sqlite)
        [Remediation.Sqlite]::Run($database, $false, 'SELECT schema_version, expose, browser, models, context_length FROM settings WHERE id = 1', @())
    }
}

ConvertTo-Json -Depth 20 -Compress -InputObject @{
    Machine = $machine
    User = $user
    Service = $service
    Log = $log
    Sid = $sid
    Database = $database
    App = $app
    Problems = $Problems
}
