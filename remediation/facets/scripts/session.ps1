# The login and the desktop user. A login without rights learns at least its own name.
param($Data)

$identity = [Security.Principal.WindowsIdentity]::GetCurrent()
# resolving the name of a domain account needs the domain
$user = Get-Part 'User' { [string] $identity.Name }
if (-not $user -and $env:USERNAME) { $user = $env:USERDOMAIN + '\' + $env:USERNAME }
$elevated = Get-Part 'Elevated' {
    $principal = New-Object Security.Principal.WindowsPrincipal $identity
    [bool] $principal.IsInRole([Security.Principal.WindowsBuiltInRole]::Administrator)
}
$desktop = Get-Part 'DesktopUser' { Get-DesktopUser }
if (-not $desktop) { $desktop = $null }

ConvertTo-Json -Depth 20 -Compress -InputObject @{
    User = $user
    Elevated = $elevated
    DesktopUser = $desktop
    LanguageMode = [string] $ExecutionContext.SessionState.LanguageMode
    PSVersion = [string] $PSVersionTable.PSVersion
    Problems = $Problems
}
