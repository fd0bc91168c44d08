# The entries of a folder, and the space of its drive. Data: path; entries, false to return only the space.
param($Data)

$path = [string] $Data.path

function Test-Folder {
    if (Test-Path -LiteralPath $path -PathType Container) { return $true }
    # an inaccessible folder looks missing to Test-Path: reading its attributes tells the difference
    try { $null = [IO.File]::GetAttributes($path) }
    catch { if (-not (Test-Cause $_ @([IO.FileNotFoundException], [IO.DirectoryNotFoundException]))) { throw } }
    $false
}

function Add-Entry($Item) {
    $length = 0
    if (-not $Item.PSIsContainer) { $length = $Item.Length }
    # PowerShell returns null for the properties of a file that was removed meanwhile
    if ($null -eq $length -or $null -eq $Item.LastWriteTime) { return }
    $null = $found.Add(@{
            Name = [string] $Item.Name
            Length = $length
            LastWriteTime = ConvertTo-Epoch $Item.LastWriteTime
            Folder = [bool] $Item.PSIsContainer
        })
}

$entries = $null
if ($Data.entries -ne $false) {
    $found = New-Object Collections.ArrayList
    $there = Get-Part 'Entries' {
        if (Test-Folder) {
            foreach ($item in @(Get-ChildItem -LiteralPath $path -Force)) { Add-Entry $item }
            $true
        }
    }
    if ($there) { $entries = $found.ToArray() }
}

$total = $null
$free = $null
try {
    $drive = New-Object IO.DriveInfo ([IO.Path]::GetPathRoot([IO.Path]::GetFullPath($path)))
    if (-not $drive.IsReady) { throw ('the drive ' + $drive.Name + ' is not ready') }
    $total = $drive.TotalSize
    $free = $drive.AvailableFreeSpace
}
catch {
    $total = $null
    $Problems.Total = Get-Reason $_
    $Problems.Free = $Problems.Total
}
ConvertTo-Json -Depth 20 -Compress -InputObject @{ Entries = $entries; Total = $total; Free = $free; Problems = $Problems }
