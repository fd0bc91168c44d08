# Where a native Ollama server gets its settings from: the machine's environment, the desktop user's, a service's own, and the
# settings database of the app. Data: service (the name of a Windows service, or null); sqlite (the text of sqlite.cs). The database also holds the user's chats:
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
    Sid = $sid
    Database = $database
    App = $app
    Problems = $Problems
}
