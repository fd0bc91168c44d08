# Functions that several probes use. Each probe is sent with those that it names, and with what these name (__init__.py).
# What stands before the first function is sent with every probe.
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'
# Why a part of the answer is null, by the part's name: whoever reads the answer can tell "refused" from "not there".
$Problems = @{}

# The value of a part that may be refused: null, and the reason in $Problems, where reading it fails. Wrap a list in @( ).
function Get-Part([string] $Name, [ScriptBlock] $Read) {
    try { & $Read }
    catch { $Problems[$Name] = [string] $_.Exception.GetBaseException().Message }
}

# Seconds since the epoch; null for null.
function ConvertTo-Epoch($Time) {
    if ($null -eq $Time) { return $null }
    (([DateTime] $Time).ToUniversalTime().Ticks - 621355968000000000) / 1e7
}

# Who sits at the desktop: the owner of a shell with a screen, else whoever the console belongs to.
function Get-DesktopUser {
    foreach ($shell in @(Get-CimInstance -ClassName Win32_Process -Filter "Name='explorer.exe'")) {
        if ($shell.SessionId -eq 0) { continue }
        $owner = Invoke-CimMethod -InputObject $shell -MethodName GetOwner
        if ($owner.ReturnValue -eq 0 -and $owner.User) { return $owner.Domain + '\' + $owner.User }
    }
    (Get-CimInstance -ClassName Win32_ComputerSystem -Property UserName).UserName
}

# The path of nvidia-smi; nothing where there is none.
function Find-Smi {
    $places = @(
        (Join-Path $env:SystemRoot 'System32\nvidia-smi.exe'),
        (Join-Path $env:ProgramFiles 'NVIDIA Corporation\NVSMI\nvidia-smi.exe')
    )
    foreach ($place in $places) { if (Test-Path -LiteralPath $place) { return $place } }
    $found = Get-Command -Name 'nvidia-smi.exe' -CommandType Application -ErrorAction SilentlyContinue | Select-Object -First 1
    if ($found) { return $found.Path }
}
