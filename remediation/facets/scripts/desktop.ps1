# Docker Desktop: its installation, its processes, its settings file, and the limits of WSL. Uses the files of the desktop user,
# not of this login.
param($Data)

# A path in that profile.
function Get-Place([string] $Below) {
    if (-not $userFolder) { throw ('the profile of the desktop user is not known: ' + $Problems['Profile']) }
    Join-Path $userFolder $Below
}

# Whether a file exists; throws if this login has no access.
function Test-File([string] $Path) { Test-Path -LiteralPath $Path -PathType Leaf -ErrorAction Stop }

$userFolder = Get-Part 'Profile' { Get-Profile }

# found in one place is enough, even if the other is inaccessible
$program = Get-Part 'Installed' {
    $refused = $null
    foreach ($find in @(
            { if ($env:ProgramFiles) { Join-Path $env:ProgramFiles 'Docker\Docker\Docker Desktop.exe' } },
            { Get-Place 'AppData\Local\Programs\DockerDesktop\Docker Desktop.exe' }
        )) {
        try {
            $place = & $find
            if ($place -and (Test-File $place)) { return $place }
        }
        catch { $refused = $_ }
    }
    if ($null -ne $refused) { throw $refused }
}
$installed = $null
if (-not $Problems.ContainsKey('Installed')) { $installed = [bool] $program }
$version = $null
if ($program) { $version = Get-Part 'Version' { [string] (Get-Item -LiteralPath $program -ErrorAction Stop).VersionInfo.ProductVersion } }

$rows = New-Object Collections.ArrayList
Get-Part 'Processes' {
    foreach ($process in @(Get-CimInstance -ClassName Win32_Process -ErrorAction Stop)) {
        if ([string] $process.Name -notmatch '^(Docker Desktop|com\.docker\..*|docker-agent|vpnkit.*)\.exe$') { continue }
        # the privileged helper is a service that keeps running when Docker Desktop exits
        if ($process.Name -eq 'com.docker.service.exe') { continue }
        $null = $rows.Add(@{
                Name = [string] $process.Name
                ProcessId = [int] $process.ProcessId
                SessionId = [int] $process.SessionId
                CreationDate = ConvertTo-Epoch $process.CreationDate
            })
    }
}

# settings-store.json since 4.35, settings.json before
$settingsPath = Get-Part 'SettingsPath' {
    $newer = Get-Place 'AppData\Roaming\Docker\settings-store.json'
    $older = Get-Place 'AppData\Roaming\Docker\settings.json'
    if (-not (Test-File $newer) -and (Test-File $older)) { $older } else { $newer }
}
$settings = Get-Part 'Settings' {
    if (-not $settingsPath) { throw $Problems['SettingsPath'] }
    Read-Text $settingsPath
}
$admin = Get-Part 'AdminSettings' { if ($env:ProgramData) { Read-Text (Join-Path $env:ProgramData 'DockerDesktop\admin-settings.json') } }
$wslPath = Get-Part 'WslConfigPath' { Get-Place '.wslconfig' }
$wsl = Get-Part 'WslConfig' { Read-Text (Get-Place '.wslconfig') }

ConvertTo-Json -Depth 20 -Compress -InputObject @{
    Installed = $installed
    Version = $version
    Now = ConvertTo-Epoch ([DateTime]::UtcNow)
    Processes = $rows.ToArray()
    SettingsPath = $settingsPath
    Settings = $settings
    AdminSettings = $admin
    WslConfigPath = $wslPath
    WslConfig = $wsl
    Problems = $Problems
}
