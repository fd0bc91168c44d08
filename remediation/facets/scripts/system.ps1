# The machine as Win32_OperatingSystem knows it. Memory in KiB, times in seconds since the epoch, UTC.
param($Data)

$system = Get-CimInstance -ClassName Win32_OperatingSystem
ConvertTo-Json -Depth 20 -Compress -InputObject @{
    Caption = [string] $system.Caption
    Version = [string] $system.Version
    Hostname = [string] $system.CSName
    TotalVisibleMemorySize = $system.TotalVisibleMemorySize
    FreePhysicalMemory = $system.FreePhysicalMemory
    Now = ConvertTo-Epoch ([DateTime]::UtcNow)
    LastBootUpTime = ConvertTo-Epoch $system.LastBootUpTime
}
