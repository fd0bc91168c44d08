# Who is logged in here, and who sits at the desktop: the owner of a shell with a screen, else whoever the console belongs to.
param($Data)

$identity = [Security.Principal.WindowsIdentity]::GetCurrent()
$principal = New-Object Security.Principal.WindowsPrincipal $identity
$desktop = Get-DesktopUser
if (-not $desktop) { $desktop = $null }

ConvertTo-Json -Depth 20 -Compress -InputObject @{
    User = $identity.Name
    Elevated = $principal.IsInRole([Security.Principal.WindowsBuiltInRole]::Administrator)
    DesktopUser = $desktop
    LanguageMode = [string] $ExecutionContext.SessionState.LanguageMode
    PSVersion = [string] $PSVersionTable.PSVersion
}
