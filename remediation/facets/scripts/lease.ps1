# Lease directories: numbers in one folder. Data: folder; make, a number to create; remove, numbers to remove; list, true to list.
# Made is true if this call created the directory, false if it existed.
param($Data)

$folder = [string] $Data.folder

# Windows has no call that creates a directory and reports whether it existed, but renaming to an existing name fails.
function Add-Lease([string] $Target) {
    $new = $Target + '-' + [guid]::NewGuid().ToString('N')
    $null = [IO.Directory]::CreateDirectory($new)
    try { [IO.Directory]::Move($new, $Target) }
    catch {
        $reason = $_
        try { [IO.Directory]::Delete($new) } catch { $Problems['Left'] = $new + ': ' + (Get-Reason $_) }
        # taken by another run, or impossible: the list shows which
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
        # a missing directory counts as removed
        if (Test-Cause $_ @([IO.DirectoryNotFoundException])) { continue }
        $null = $kept.Add([int] $number)
        $Problems['Kept'] = Get-Reason $_
    }
}
if ($Data.list) { $names = Get-Part 'Names' { , @(Get-Lease) } }
ConvertTo-Json -Depth 20 -Compress -InputObject @{ Made = $made; Kept = $kept.ToArray(); Names = $names; Problems = $Problems }
