# Rename or remove one file, or make a folder and those above it. Data: action (rename, remove or make), path, to. What is there already is never overwritten by a rename.
param($Data)

$done = $false
$problem = $null
try {
    switch ([string] $Data.action) {
        'rename' { [IO.File]::Move([string] $Data.path, [string] $Data.to); $done = $true }
        'remove' {
            # .NET takes a missing file for removed, and a missing folder for an error
            try { [IO.File]::Delete([string] $Data.path) }
            catch { if (-not (Test-Cause $_ @([IO.DirectoryNotFoundException]))) { throw } }
            $done = $true
        }
        'make' { $null = [IO.Directory]::CreateDirectory([string] $Data.path); $done = $true }
        default { $problem = 'unknown action ' + $Data.action }
    }
}
catch { $problem = Get-Reason $_ }
ConvertTo-Json -Depth 20 -Compress -InputObject @{ Done = $done; Problem = $problem }
