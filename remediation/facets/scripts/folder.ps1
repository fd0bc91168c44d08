# The entries of a folder, and the space of the drive that it lies on. Data: path.
param($Data)

$path = [string] $Data.path
$entries = $null
if (Test-Path -LiteralPath $path -PathType Container) {
    $found = New-Object Collections.ArrayList
    foreach ($item in @(Get-ChildItem -LiteralPath $path -Force)) {
        $length = 0
        if (-not $item.PSIsContainer) { $length = $item.Length }
        $null = $found.Add(@{
                Name = [string] $item.Name
                Length = $length
                LastWriteTime = ConvertTo-Epoch $item.LastWriteTime
                Folder = [bool] $item.PSIsContainer
            })
    }
    $entries = $found.ToArray()
}
$total = $null
$free = $null
try {
    $drive = New-Object IO.DriveInfo ([IO.Path]::GetPathRoot([IO.Path]::GetFullPath($path)))
    if ($drive.IsReady) { $total = $drive.TotalSize; $free = $drive.AvailableFreeSpace }
}
catch { $null = $_ }
ConvertTo-Json -Depth 20 -Compress -InputObject @{ Entries = $entries; Total = $total; Free = $free }
