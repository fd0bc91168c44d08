# Renames or removes a file, creates a folder and its parents, removes a folder, or sets a file's time to now. Data: action (rename,
# remove, make, remove-folder, remove-empty or touch), path, to. A rename never overwrites an existing file.
param($Data)

$done = $false
$problem = $null
try {
    switch ([string] $Data.action) {
        'rename' { [IO.File]::Move([string] $Data.path, [string] $Data.to); $done = $true }
        'remove' {
            # .NET ignores a missing file but throws for a missing folder
            try { [IO.File]::Delete([string] $Data.path) }
            catch { if (-not (Test-Cause $_ @([IO.DirectoryNotFoundException]))) { throw } }
            $done = $true
        }
        'make' { $null = [IO.Directory]::CreateDirectory([string] $Data.path); $done = $true }
        { @('remove-folder', 'remove-empty') -contains $_ } {
            try { [IO.Directory]::Delete([string] $Data.path, $Data.action -eq 'remove-folder') }
            catch { if (-not (Test-Cause $_ @([IO.DirectoryNotFoundException]))) { throw } }
            $done = $true
        }
        'touch' { [IO.File]::SetLastWriteTimeUtc([string] $Data.path, [DateTime]::UtcNow); $done = $true }
        default { $problem = 'unknown action ' + $Data.action }
    }
}
catch { $problem = Get-Reason $_ }
ConvertTo-Json -Depth 20 -Compress -InputObject @{ Done = $done; Problem = $problem }
