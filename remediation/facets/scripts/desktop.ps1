# Docker Desktop: where it is installed, what of it runs, its settings file, and the limits of WSL. The files are those of the
# desktop's user, not of this login.
param($Data)

# The profile of whoever sits at the desktop, by the owner of the shell; else of this login
function Get-Profile {
    foreach ($shell in @(Get-CimInstance -ClassName Win32_Process -Filter "Name='explorer.exe'")) {
        if ($shell.SessionId -eq 0) { continue }
        $owner = Invoke-CimMethod -InputObject $shell -MethodName GetOwnerSid
        if ($owner.ReturnValue -ne 0 -or -not $owner.Sid) { continue }
        $key = 'HKLM:\SOFTWARE\Microsoft\Windows NT\CurrentVersion\ProfileList\' + $owner.Sid
        if (Test-Path -LiteralPath $key) { return [string] (Get-ItemProperty -LiteralPath $key).ProfileImagePath }
    }
    [string] $env:USERPROFILE
}

function Read-Text([string] $Path) {
    if (-not (Test-Path -LiteralPath $Path -PathType Leaf)) { return $null }
    [IO.File]::ReadAllText($Path, [Text.Encoding]::UTF8)
}

$userFolder = Get-Profile
$program = $null
foreach ($place in @(
        (Join-Path $env:ProgramFiles 'Docker\Docker\Docker Desktop.exe'),
        (Join-Path $userFolder 'AppData\Local\Programs\DockerDesktop\Docker Desktop.exe')
    )) {
    if (-not $program -and (Test-Path -LiteralPath $place)) { $program = $place }
}
$version = $null
if ($program) { $version = [string] (Get-Item -LiteralPath $program).VersionInfo.ProductVersion }

$rows = New-Object Collections.ArrayList
foreach ($process in @(Get-CimInstance -ClassName Win32_Process)) {
    if ([string] $process.Name -notmatch '^(Docker Desktop|com\.docker\..*|docker-agent|vpnkit.*)\.exe$') { continue }
    # the privileged helper is a service that starts with Windows and stays when Docker Desktop ends
    if ($process.Name -eq 'com.docker.service.exe') { continue }
    $null = $rows.Add(@{
            Name = [string] $process.Name
            ProcessId = [int] $process.ProcessId
            SessionId = [int] $process.SessionId
            CreationDate = ConvertTo-Epoch $process.CreationDate
        })
}

# settings-store.json since 4.35, settings.json before
$folder = Join-Path $userFolder 'AppData\Roaming\Docker'
$settingsPath = Join-Path $folder 'settings-store.json'
if (-not (Test-Path -LiteralPath $settingsPath) -and (Test-Path -LiteralPath (Join-Path $folder 'settings.json'))) {
    $settingsPath = Join-Path $folder 'settings.json'
}
$wslPath = Join-Path $userFolder '.wslconfig'

ConvertTo-Json -Depth 20 -Compress -InputObject @{
    Installed = $null -ne $program
    Version = $version
    Now = ConvertTo-Epoch ([DateTime]::UtcNow)
    Processes = $rows.ToArray()
    SettingsPath = $settingsPath
    Settings = Read-Text $settingsPath
    AdminSettings = Read-Text (Join-Path $env:ProgramData 'DockerDesktop\admin-settings.json')
    WslConfigPath = $wslPath
    WslConfig = Read-Text $wslPath
}
