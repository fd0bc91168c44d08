// The types of the stand-in for Windows (windows.psm1): they are known in every runspace, also in one that has not loaded the module.
using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.ComponentModel;
using System.Globalization;
using System.IO;
using System.Management.Automation.Host;

namespace StandIn
{
    // Time that a script waits is counted, not waited: a minute of Start-Sleep passes at once.
    public static class Clock
    {
        static double passed;
        static readonly System.Diagnostics.Stopwatch real = System.Diagnostics.Stopwatch.StartNew();
        // How much faster than the real one a script's stopwatch runs: a program that hangs need not be waited for.
        public static double Rate = 1;
        public static double Now { get { return passed + Rate * real.Elapsed.TotalSeconds; } }
        public static double Passed { get { return passed; } }
        public static void Pass(double seconds) { lock (real) { passed += seconds; } }
        public static void Reset() { lock (real) { passed = 0; } }
    }

    public class Stopwatch
    {
        double began = Clock.Now;
        public static Stopwatch StartNew() { return new Stopwatch(); }
        public TimeSpan Elapsed { get { return TimeSpan.FromSeconds(Clock.Now - began); } }
        public long ElapsedMilliseconds { get { return (long)Elapsed.TotalMilliseconds; } }
        public long ElapsedTicks { get { return Elapsed.Ticks; } }
        public void Restart() { began = Clock.Now; }
        public void Start() { }
        public void Stop() { }
    }

    // One way in which a command or a method misbehaves. With and Line choose among its calls.
    public class Disturbance
    {
        public string Command, With, Line, How, Message, Code;
        public double Seconds;
        public int Calls;
    }

    public static class State
    {
        public static readonly List<Disturbance> Disturbed = new List<Disturbance>();
        public static readonly ConcurrentQueue<string> Calls = new ConcurrentQueue<string>();
        public static readonly ConcurrentDictionary<string, bool> Gone = new ConcurrentDictionary<string, bool>();
        public static string Login, LoginSid;
        public static bool Elevated;

        public static void Reset()
        {
            lock (Disturbed) { Disturbed.Clear(); }
            Calls.Clear();
            Gone.Clear();
            Clock.Reset();
        }

        public static Disturbance Find(string command, string words, string line)
        {
            Calls.Enqueue(command + "\t" + words + "\t" + line);
            lock (Disturbed)
            {
                foreach (var each in Disturbed)
                {
                    if (!string.Equals(each.Command, command, StringComparison.OrdinalIgnoreCase)) { continue; }
                    if (!string.IsNullOrEmpty(each.With) && !words.Contains(each.With, StringComparison.OrdinalIgnoreCase)) { continue; }
                    if (!string.IsNullOrEmpty(each.Line) && (line == null || !line.Contains(each.Line))) { continue; }
                    each.Calls++;
                    return each;
                }
            }
            return null;
        }

        // A static method of .NET: "[IO.File]::Move(" becomes "([StandIn.State]::Pass([IO.File], {Move}, {L7;}))::Move(":
        // blocks, because a quoted text would end the one that a script holds for a task.
        public static Type Pass(Type type, object member, object line)
        {
            var found = Find(type.FullName + "::" + member, "", line.ToString());
            if (found == null) { return type; }
            switch (found.How)
            {
                case "slow": Clock.Pass(found.Seconds); return type;
                case "vanishing": if (found.Calls == 1) { return type; } throw new FileNotFoundException("Could not find file.");
                case "gone": throw new FileNotFoundException("Could not find file.");
                case "refused":
                    if (type == typeof(System.Diagnostics.Process)) { throw new Win32Exception(13, "Access is denied."); }
                    throw new UnauthorizedAccessException("Access to the path is denied.");
                default: return type;
            }
        }
    }

    public class Sid { public string Value { get; set; } public override string ToString() { return Value; } }

    public class WindowsIdentity
    {
        public string Name { get { return State.Login; } }
        public Sid User { get { return new Sid { Value = State.LoginSid }; } }
        public static WindowsIdentity GetCurrent() { return new WindowsIdentity(); }
    }

    public class WindowsPrincipal
    {
        public WindowsPrincipal(WindowsIdentity identity) { }
        public bool IsInRole(object role) { return State.Elevated; }
    }

    // What runs the text of a scheduled task: it keeps the exit code.
    public class TaskHost : PSHost
    {
        readonly Guid id = Guid.NewGuid();
        public int Code;
        public override CultureInfo CurrentCulture { get { return CultureInfo.InvariantCulture; } }
        public override CultureInfo CurrentUICulture { get { return CultureInfo.InvariantCulture; } }
        public override Guid InstanceId { get { return id; } }
        public override string Name { get { return "task"; } }
        public override PSHostUserInterface UI { get { return null; } }
        public override Version Version { get { return new Version(1, 0); } }
        public override void EnterNestedPrompt() { }
        public override void ExitNestedPrompt() { }
        public override void NotifyBeginApplication() { }
        public override void NotifyEndApplication() { }
        public override void SetShouldExit(int code) { Code = code; }
    }
}
