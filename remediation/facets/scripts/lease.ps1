# Lease directories: numbers below one folder. Data: folder; make, a number to make; remove, numbers to remove; list, true to list.
# Made is true where this call made the directory, false where it was there.
param($Data)

$folder = [string] $Data.folder

# Windows has no call that makes a directory and says whether it was there; a rename onto one that is there fails.
function Add-Lease([string] $Target) {
    $new = $Target + '-' + [guid]::NewGuid().ToString('N')
    $null = [IO.Directory]::CreateDirectory($new)
    try { [IO.Directory]::Move($new, $Target) }
    catch {
        $reason = $_
        try { [IO.Directory]::Delete($new) } catch { $Problems['Left'] = $new + ': ' + (Get-Reason $_) }
        # taken by another run, or not to be had: the list tells
        if (@(Get-Lease) -contains [IO.Path]::GetFileName($Target)) { return $false }
        throw $reason
    }
    $true
}

function Get-Lease {
    try { foreach ($each in [IO.Directory]::GetDirectories($folder)) { [IO.Path]::GetFileName($each) } }
    catch { if (-not (Test-Cause $_ @([IO.DirectoryNotFoundException]))) { throw } }
}

$made = $null
$kept = New-Object Collections.ArrayList
$names = $null
if ($null -ne $Data.make) { $made = Get-Part 'Made' { Add-Lease (Join-Path $folder ([int] $Data.make)) } }
foreach ($number in @($Data.remove)) {
    if ($null -eq $number) { continue }
    try { [IO.Directory]::Delete((Join-Path $folder ([int] $number)), $true) }
    catch {
        # gone already is as good as removed
        if (Test-Cause $_ @([IO.DirectoryNotFoundException])) { continue }
        $null = $kept.Add([int] $number)
        $Problems['Kept'] = Get-Reason $_
    }
}
if ($Data.list) { $names = Get-Part 'Names' { , @(Get-Lease) } }
ConvertTo-Json -Depth 20 -Compress -InputObject @{ Made = $made; Kept = $kept.ToArray(); Names = $names; Problems = $Problems }
