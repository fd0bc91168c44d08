# Who is logged in here, and who sits at the desktop: the owner of a shell with a screen, else whoever the console belongs to.
param($Data)
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'

$identity = [Security.Principal.WindowsIdentity]::GetCurrent()
$principal = New-Object Security.Principal.WindowsPrincipal $identity
$desktop = $null
foreach ($shell in @(Get-CimInstance -ClassName Win32_Process -Filter "Name='explorer.exe'")) {
    if ($shell.SessionId -eq 0) { continue }
    $owner = Invoke-CimMethod -InputObject $shell -MethodName GetOwner
    if ($owner.ReturnValue -eq 0 -and $owner.User) { $desktop = $owner.Domain + '\' + $owner.User; break }
}
if (-not $desktop) { $desktop = (Get-CimInstance -ClassName Win32_ComputerSystem -Property UserName).UserName }
if (-not $desktop) { $desktop = $null }

ConvertTo-Json -Depth 20 -Compress -InputObject @{
    User = $identity.Name
    Elevated = $principal.IsInRole([Security.Principal.WindowsBuiltInRole]::Administrator)
    DesktopUser = $desktop
    LanguageMode = [string] $ExecutionContext.SessionState.LanguageMode
    PSVersion = [string] $PSVersionTable.PSVersion
}
