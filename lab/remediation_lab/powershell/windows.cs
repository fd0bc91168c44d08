// The types of .NET that touch a machine, answered by a machine of the lab. They stand in for those of the same name in every script:
// PowerShell looks the name up in its table of short names first (windows.psm1).
using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Management.Automation.Host;
using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.Json.Nodes;
using System.Threading;
using System.Threading.Tasks;

namespace RemediationLab
{
    public class Refusal : Exception
    {
        public readonly string Kind;
        public Refusal(string kind, string message) : base(message) { Kind = kind; }
    }

    // The lab's process with the machines, which answers one line of JSON with another.
    public static class World
    {
        sealed class Line
        {
            public Socket Socket;
            public StreamReader Reader;
            public string Token;
        }

        static readonly ConcurrentBag<Line> free = new ConcurrentBag<Line>();
        static readonly string host = Environment.GetEnvironmentVariable("REMEDIATION_LAB_HOST");

        static Line Connect()
        {
            var address = JsonNode.Parse(System.IO.File.ReadAllText(Environment.GetEnvironmentVariable("REMEDIATION_LAB_WORLD")));
            Socket socket;
            if (address["unix"] != null)
            {
                socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
                socket.Connect(new UnixDomainSocketEndPoint((string)address["unix"]));
            }
            else
            {
                socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
                socket.Connect((string)address["tcp"][0], (int)address["tcp"][1]);
            }
            var line = new Line { Socket = socket, Token = (string)address["token"] };
            line.Reader = new StreamReader(new NetworkStream(socket), new UTF8Encoding(false), false, 65536);
            Ask(line, "attach", new JsonObject());
            return line;
        }

        static JsonNode Ask(Line line, string op, JsonObject fields)
        {
            fields["op"] = op;
            fields["host"] = host;
            fields["token"] = line.Token;
            var bytes = Encoding.UTF8.GetBytes(fields.ToJsonString() + "\n");
            for (var sent = 0; sent < bytes.Length;) { sent += line.Socket.Send(bytes, sent, bytes.Length - sent, SocketFlags.None); }
            var text = line.Reader.ReadLine();
            if (text == null) { throw new IOException("the lab's machine went away"); }
            var answer = JsonNode.Parse(text);
            var error = answer["error"];
            if (error == null) { return answer["value"]; }
            // the machine on which this program runs is gone, and so is the program
            if ((string)error["kind"] == "rebooted") { Environment.Exit(1); }
            throw new Refusal((string)error["kind"], (string)error["message"]);
        }

        public static JsonNode Call(string op, JsonObject fields)
        {
            Line line;
            if (!free.TryTake(out line)) { line = Connect(); }
            var whole = false;
            try
            {
                var value = Ask(line, op, fields);
                whole = true;
                return value;
            }
            catch (Refusal) { whole = true; throw; }
            finally { if (whole) { free.Add(line); } else { line.Socket.Dispose(); } }
        }

        public static JsonNode Windows(string what, JsonObject fields = null, bool change = false)
        {
            fields = fields ?? new JsonObject();
            fields["what"] = what;
            return Call(change ? "windows_change" : "windows", fields);
        }

        // For the module: fields and answer are JSON text. A refusal is a value here: -ErrorVariable of a function would list an exception
        // that it has caught.
        public static string Text(string what, string fields, bool change)
        {
            var answer = new JsonObject();
            try { answer["value"] = Windows(what, JsonNode.Parse(fields).AsObject(), change)?.DeepClone(); }
            catch (Refusal refusal) { answer["error"] = new JsonObject { ["kind"] = refusal.Kind, ["message"] = refusal.Message }; }
            return answer.ToJsonString();
        }

        public static double Now { get { return (double)Call("clock", new JsonObject()); } }

        // What .NET throws for a refusal.
        public static Exception Error(Refusal refusal)
        {
            switch (refusal.Kind)
            {
                case "no-file": return new FileNotFoundException(refusal.Message);
                case "no-folder": return new DirectoryNotFoundException(refusal.Message);
                case "denied": return new UnauthorizedAccessException(refusal.Message);
                default: return new IOException(refusal.Message);
            }
        }

        public static JsonNode Try(string what, JsonObject fields, bool change = false)
        {
            try { return Windows(what, fields, change); }
            catch (Refusal refusal) { throw Error(refusal); }
        }

        public static DateTime Moment(double seconds)
        {
            return new DateTime(621355968000000000 + (long)Math.Round(seconds * 1e6) * 10, DateTimeKind.Utc);
        }
    }

    public class LabStopwatch
    {
        double began, passed;
        bool runs;
        public static LabStopwatch StartNew() { var made = new LabStopwatch(); made.Start(); return made; }
        public void Start() { if (!runs) { began = World.Now; runs = true; } }
        public void Stop() { passed = Seconds; runs = false; }
        public void Restart() { passed = 0; runs = false; Start(); }
        double Seconds { get { return runs ? passed + World.Now - began : passed; } }
        public TimeSpan Elapsed { get { return TimeSpan.FromSeconds(Seconds); } }
        public long ElapsedMilliseconds { get { return (long)(Seconds * 1000); } }
    }

    // DateTime as scripts use it: the present, and a conversion.
    public class LabDateTime
    {
        readonly DateTime time;
        public LabDateTime(DateTime value) { time = value; }
        public DateTime ToUniversalTime() { return time.ToUniversalTime(); }
        public static DateTime UtcNow { get { return World.Moment(World.Now); } }
        public static DateTime Now { get { return UtcNow.ToLocalTime(); } }
    }

    public static class LabEnvironment
    {
        public static string MachineName { get { return (string)World.Windows("login")["machine"]; } }
        public static System.Collections.Hashtable GetEnvironmentVariables()
        {
            return new System.Collections.Hashtable { ["OS"] = "Windows_NT", ["COMPUTERNAME"] = MachineName };
        }
        public static string SystemDirectory { get { return "C:\\Windows\\System32"; } }
        public static OperatingSystem OSVersion
        {
            get { return new OperatingSystem(PlatformID.Win32NT, Version.Parse((string)World.Windows("login")["version"] + ".0")); }
        }
    }

    public class LabSid
    {
        public string Value { get; set; }
        public override string ToString() { return Value; }
    }

    public class LabIdentity
    {
        public string Name { get { return (string)World.Windows("login")["user"]; } }
        public LabSid User { get { return new LabSid { Value = (string)World.Windows("login")["sid"] }; } }
        public static LabIdentity GetCurrent() { return new LabIdentity(); }
    }

    public class LabPrincipal
    {
        public LabPrincipal(LabIdentity identity) { }
        public bool IsInRole(object role) { return (bool)World.Windows("login")["elevated"]; }
    }

    // Windows' rules for paths.
    public static class LabPath
    {
        static int Cut(string path) { return path.LastIndexOfAny(new[] { '\\', '/', ':' }); }
        public static string GetFileName(string path) { return path == null ? null : path.Substring(Cut(path) + 1); }
        public static string GetPathRoot(string path)
        {
            if (path == null) { return null; }
            if (path.Length > 1 && path[1] == ':') { return path.Length > 2 && (path[2] == '\\' || path[2] == '/') ? path.Substring(0, 2) + "\\" : path.Substring(0, 2); }
            return path.StartsWith("\\") || path.StartsWith("/") ? "\\" : "";
        }
        public static string GetDirectoryName(string path)
        {
            if (path == null || path == GetPathRoot(path)) { return null; }
            var at = Cut(path);
            var head = at < 0 ? "" : path.Substring(0, at).Replace('/', '\\');
            var root = GetPathRoot(path);
            return head.Length < root.Length ? root : head;
        }
        public static string Combine(string first, string second)
        {
            if (second.StartsWith("\\") || (second.Length > 1 && second[1] == ':')) { return second; }
            if (first == "") { return second; }
            return first.EndsWith("\\") || first.EndsWith("/") ? first + second : first + "\\" + second;
        }
        public static string GetFullPath(string path)
        {
            var whole = path.Replace('/', '\\');
            if (whole.Length < 2 || whole[1] != ':') { whole = Combine("C:\\Users\\ops", whole); }
            var parts = new List<string>();
            foreach (var part in whole.Substring(2).Split('\\', StringSplitOptions.RemoveEmptyEntries))
            {
                if (part == "..") { if (parts.Count > 0) { parts.RemoveAt(parts.Count - 1); } }
                else if (part != ".") { parts.Add(part); }
            }
            return whole.Substring(0, 2) + "\\" + string.Join("\\", parts);
        }
    }

    public static class LabFile
    {
        static JsonNode Stat(string path) { return World.Try("stat", new JsonObject { ["path"] = LabPath.GetFullPath(path) }); }
        public static bool Exists(string path)
        {
            if (string.IsNullOrEmpty(path)) { return false; }
            var found = Stat(path);
            return (string)found["kind"] == "file" && !(bool)found["closed"];
        }
        public static FileAttributes GetAttributes(string path)
        {
            var found = Stat(path);
            if ((bool)found["closed"]) { throw new UnauthorizedAccessException("Access to the path '" + path + "' is denied."); }
            if (found["kind"] == null) { throw new FileNotFoundException("Could not find file '" + path + "'."); }
            return (string)found["kind"] == "folder" ? FileAttributes.Directory : FileAttributes.Archive;
        }
        public static void Delete(string path) { World.Try("delete", new JsonObject { ["path"] = LabPath.GetFullPath(path) }, true); }
        public static void Move(string path, string to) { Rename(path, to, false); }
        static void Rename(string path, string to, bool replace)
        {
            World.Try("move", new JsonObject { ["path"] = LabPath.GetFullPath(path), ["to"] = LabPath.GetFullPath(to), ["replace"] = replace }, true);
        }
        public static void Copy(string path, string to, bool overwrite)
        {
            World.Try("copy", new JsonObject { ["path"] = LabPath.GetFullPath(path), ["to"] = LabPath.GetFullPath(to) }, true);
        }
        public static void Replace(string path, string to, string backup) { Rename(path, to, true); }
        public static void WriteAllText(string path, string text)
        {
            using (var file = new LabFileStream(path, FileMode.Create, FileAccess.Write, FileShare.None))
            {
                var bytes = new UTF8Encoding(false).GetBytes(text);
                file.Write(bytes, 0, bytes.Length);
            }
        }
    }

    // What FileInfo and DirectoryInfo tell of a path; the machine has no links.
    public class LabFileInfo
    {
        readonly JsonNode found;
        public LabFileInfo(string path)
        {
            FullName = LabPath.GetFullPath(path);
            found = World.Try("stat", new JsonObject { ["path"] = FullName });
        }
        public string FullName { get; private set; }
        public string Name { get { return LabPath.GetFileName(FullName); } }
        public string Extension { get { return System.IO.Path.GetExtension(Name); } }
        public long Length { get { return (long)found["size"]; } }
        public FileAttributes Attributes { get { return LabFile.GetAttributes(FullName); } }
        public DateTime CreationTime { get { return World.Moment((double)found["created"]).ToLocalTime(); } }
        public DateTime LastAccessTime { get { return LabDateTime.Now; } }
        public DateTime LastWriteTime { get { return World.Moment((double)found["modified"]).ToLocalTime(); } }
        public string Target { get { return null; } }
        public string LinkType { get { return null; } }
    }

    public class LabDirectoryInfo : LabFileInfo
    {
        public LabDirectoryInfo(string path) : base(path) { }
    }

    public class LabFolder { public string FullName { get; set; } }

    public static class LabDirectory
    {
        public static bool Exists(string path)
        {
            return !string.IsNullOrEmpty(path) && (string)World.Try("stat", new JsonObject { ["path"] = LabPath.GetFullPath(path) })["kind"] == "folder";
        }
        public static LabFolder CreateDirectory(string path)
        {
            World.Try("make", new JsonObject { ["path"] = LabPath.GetFullPath(path) }, true);
            return new LabFolder { FullName = LabPath.GetFullPath(path) };
        }
        public static void Move(string path, string to) { LabFile.Move(path, to); }
        public static void Delete(string path) { Delete(path, false); }
        public static void Delete(string path, bool recursive)
        {
            World.Try("remove", new JsonObject { ["path"] = LabPath.GetFullPath(path), ["below"] = recursive }, true);
        }
        public static string[] GetDirectories(string path)
        {
            var found = new List<string>();
            foreach (var each in World.Try("list", new JsonObject { ["path"] = LabPath.GetFullPath(path) }).AsArray())
            {
                if ((bool)each["Folder"]) { found.Add(LabPath.Combine(path, (string)each["Name"])); }
            }
            return found.ToArray();
        }
    }

    public class LabDriveInfo
    {
        readonly JsonNode space;
        public LabDriveInfo(string name)
        {
            Name = name;
            space = World.Try("space", new JsonObject { ["path"] = name });
        }
        public string Name { get; private set; }
        public bool IsReady { get { return space != null; } }
        public long TotalSize { get { return (long)space[0]; } }
        public long AvailableFreeSpace { get { return (long)space[1]; } }
    }

    public class LabVersionInfo
    {
        public string ProductVersion { get; set; }
        public static LabVersionInfo GetVersionInfo(string path)
        {
            return new LabVersionInfo { ProductVersion = (string)World.Try("stat", new JsonObject { ["path"] = path })["version"] };
        }
    }

    // A file of the machine: each read and write reaches it at once.
    public class LabFileStream : Stream
    {
        readonly string path;
        readonly bool writes;
        long length, position;

        public LabFileStream(string path, FileMode mode, FileAccess access, FileShare share)
        {
            this.path = LabPath.GetFullPath(path);
            writes = access != FileAccess.Read;
            var fields = new JsonObject { ["path"] = this.path, ["new"] = mode == FileMode.CreateNew, ["write"] = writes && mode != FileMode.Open };
            length = (long)World.Try("open", fields);
            if (mode == FileMode.Create) { SetLength(0); }
        }
        public override bool CanRead { get { return true; } }
        public override bool CanSeek { get { return true; } }
        public override bool CanWrite { get { return writes; } }
        public override long Length { get { return length; } }
        public override long Position { get { return position; } set { position = value; } }
        public override void Flush() { }
        public void Flush(bool disk) { }
        public override long Seek(long offset, SeekOrigin origin)
        {
            position = offset + (origin == SeekOrigin.Begin ? 0 : origin == SeekOrigin.Current ? position : length);
            return position;
        }
        public override int Read(byte[] buffer, int offset, int count)
        {
            if (count == 0 || position >= length) { return 0; }
            // what reads a file as a whole asks for little at a time
            if (position < start || position >= start + ahead.Length)
            {
                start = position;
                var fields = new JsonObject { ["path"] = path, ["offset"] = start, ["count"] = count < 65536 ? 1 << 20 : count };
                ahead = Convert.FromBase64String((string)World.Try("read", fields));
                if (ahead.Length == 0) { return 0; }
            }
            var got = (int)Math.Min(count, start + ahead.Length - position);
            Array.Copy(ahead, position - start, buffer, offset, got);
            position += got;
            return got;
        }
        byte[] ahead = new byte[0];
        long start;
        public override void Write(byte[] buffer, int offset, int count)
        {
            if (!writes) { throw new NotSupportedException(); }
            ahead = new byte[0];
            World.Try("write", new JsonObject { ["path"] = path, ["offset"] = position, ["content"] = Convert.ToBase64String(buffer, offset, count) });
            position += count;
            length = Math.Max(length, position);
        }
        public override void SetLength(long value)
        {
            if (value == length) { return; }
            ahead = new byte[0];
            World.Try("length", new JsonObject { ["path"] = path, ["size"] = value });
            length = value;
        }
    }

    // A program's output: it comes when the program ends, or line by line from one that goes on.
    public class LabOutput : Stream
    {
        readonly MemoryStream waiting = new MemoryStream();
        int taken;
        bool ended;
        TaskCompletionSource<bool> more = new TaskCompletionSource<bool>();

        public void Put(byte[] content, bool end)
        {
            TaskCompletionSource<bool> wake;
            lock (waiting)
            {
                waiting.Position = waiting.Length;
                waiting.Write(content, 0, content.Length);
                ended |= end;
                wake = more;
                more = new TaskCompletionSource<bool>();
            }
            wake.TrySetResult(true);
        }
        public override async Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken token)
        {
            while (true)
            {
                Task wait;
                lock (waiting)
                {
                    var got = (int)Math.Min(count, waiting.Length - taken);
                    if (got > 0)
                    {
                        Array.Copy(waiting.GetBuffer(), taken, buffer, offset, got);
                        taken += got;
                        return got;
                    }
                    if (ended) { return 0; }
                    wait = more.Task;
                }
                await wait.ConfigureAwait(false);
            }
        }
        public override int Read(byte[] buffer, int offset, int count) { return ReadAsync(buffer, offset, count, CancellationToken.None).GetAwaiter().GetResult(); }
        public override bool CanRead { get { return true; } }
        public override bool CanSeek { get { return false; } }
        public override bool CanWrite { get { return false; } }
        public override long Length { get { throw new NotSupportedException(); } }
        public override long Position { get { throw new NotSupportedException(); } set { throw new NotSupportedException(); } }
        public override void Flush() { }
        public override long Seek(long offset, SeekOrigin origin) { throw new NotSupportedException(); }
        public override void SetLength(long value) { throw new NotSupportedException(); }
        public override void Write(byte[] buffer, int offset, int count) { throw new NotSupportedException(); }
    }

    // A program's stdin: the machine gets it when it is closed.
    public class LabInput : MemoryStream
    {
        public Action<byte[]> Closed;
        bool closed;
        public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken token) { Write(buffer, offset, count); return Task.CompletedTask; }
        protected override void Dispose(bool disposing)
        {
            if (!closed) { closed = true; Closed(ToArray()); }
            base.Dispose(disposing);
        }
    }

    public class LabProcess
    {
        static int numbers = 20000;
        readonly LabOutput output = new LabOutput(), errors = new LabOutput();
        readonly ManualResetEventSlim over = new ManualResetEventSlim();
        readonly int id = Interlocked.Increment(ref numbers);
        volatile bool killed;
        string job;
        int code;

        public int Id { get { return id; } }
        public int SessionId { get; private set; }
        public bool HasExited { get { return over.IsSet; } }
        public int ExitCode { get { return code; } }
        public StreamReader StandardOutput { get; private set; }
        public StreamReader StandardError { get; private set; }
        public StreamWriter StandardInput { get; private set; }

        public static LabProcess GetCurrentProcess() { return new LabProcess { SessionId = (int)World.Windows("login")["session"] }; }

        // As CommandLineToArgvW splits a line.
        public static List<string> Split(string line)
        {
            var words = new List<string>();
            var word = new StringBuilder();
            bool quoted = false, there = false;
            var slashes = 0;
            foreach (var one in line)
            {
                if (one == '\\') { slashes++; continue; }
                if (one == '"')
                {
                    word.Append('\\', slashes / 2);
                    if (slashes % 2 == 1) { word.Append('"'); } else { quoted = !quoted; there = true; }
                    slashes = 0;
                    continue;
                }
                word.Append('\\', slashes);
                slashes = 0;
                if ((one == ' ' || one == '\t') && !quoted)
                {
                    if (word.Length > 0 || there) { words.Add(word.ToString()); }
                    word.Clear();
                    there = false;
                }
                else { word.Append(one); }
            }
            word.Append('\\', slashes);
            if (word.Length > 0 || there) { words.Add(word.ToString()); }
            return words;
        }

        public static LabProcess Start(ProcessStartInfo info)
        {
            var made = new LabProcess();
            made.StandardOutput = new StreamReader(made.output);
            made.StandardError = new StreamReader(made.errors);
            var words = new List<string> { info.FileName };
            words.AddRange(Split(info.Arguments ?? ""));
            var loop = words.Find(each => each.StartsWith("--loop-ms="));
            if (loop != null) { words.Remove(loop); }
            var fields = new JsonObject { ["argv"] = Array(words), ["timeout"] = 86400.0, ["more"] = true };
            if (!string.IsNullOrEmpty(info.WorkingDirectory)) { fields["cwd"] = info.WorkingDirectory; }
            var changed = new JsonObject();
            foreach (System.Collections.DictionaryEntry each in info.EnvironmentVariables)
            {
                var name = (string)each.Key;
                if (Environment.GetEnvironmentVariable(name) != (string)each.Value) { changed[name] = (string)each.Value; }
            }
            if (changed.Count > 0) { fields["env"] = changed; }
            try
            {
                if (loop == null) { made.job = (string)World.Call("start", fields)["job"]; }
                // a program that goes on is known by its first answer
                else { World.Windows("stat", new JsonObject { ["path"] = info.FileName }); }
            }
            catch (Refusal refusal) { throw new Win32Exception(refusal.Kind == "denied" ? 5 : 2, refusal.Message); }
            made.StandardInput = new StreamWriter(new LabInput { Closed = content => { if (loop == null) { made.Feed(content); } } });
            if (!info.RedirectStandardInput && loop == null) { made.Feed(new byte[0]); }
            if (loop != null) { made.Loop(words, int.Parse(loop.Substring(loop.IndexOf('=') + 1), CultureInfo.InvariantCulture)); }
            return made;
        }

        static JsonArray Array(List<string> words)
        {
            var made = new JsonArray();
            foreach (var each in words) { made.Add(each); }
            return made;
        }

        void Feed(byte[] content)
        {
            Background(() =>
            {
                var fields = new JsonObject { ["job"] = job, ["stdin"] = Convert.ToBase64String(content), ["more"] = false, ["wait"] = 3600.0 };
                while (!killed)
                {
                    var said = World.Call("poll", fields);
                    if ((bool)said["done"]) { End(said); return; }
                    fields = new JsonObject { ["job"] = job, ["wait"] = 3600.0 };
                }
            });
        }

        void Loop(List<string> words, int milliseconds)
        {
            Background(() =>
            {
                while (!killed)
                {
                    var said = World.Call("run", new JsonObject { ["argv"] = Array(words) });
                    if ((int)said["rc"] != 0) { End(said); return; }
                    output.Put(Convert.FromBase64String((string)said["stdout"]), false);
                    World.Windows("sleep", new JsonObject { ["seconds"] = milliseconds / 1000.0 });
                }
            });
        }

        void Background(Action work)
        {
            var thread = new Thread(() =>
            {
                try { work(); }
                catch (Exception error) { Finish(1, new byte[0], Encoding.UTF8.GetBytes(error.Message)); }
            });
            thread.IsBackground = true;
            thread.Start();
        }

        void End(JsonNode said)
        {
            Finish(unchecked((int)(long)said["rc"]), Convert.FromBase64String((string)said["stdout"]), Convert.FromBase64String((string)said["stderr"]));
        }

        void Finish(int rc, byte[] said, byte[] complained)
        {
            lock (over)
            {
                if (over.IsSet) { return; }
                code = rc;
                over.Set();
            }
            output.Put(said, true);
            errors.Put(complained, true);
        }

        public bool WaitForExit(int milliseconds) { return over.Wait(milliseconds); }
        public void Kill() { Kill(false); }
        public void Kill(bool tree)
        {
            killed = true;
            if (job != null && !over.IsSet) { try { World.Call("stop", new JsonObject { ["job"] = job }); } catch (Refusal) { } }
            Finish(-1, new byte[0], new byte[0]);
        }
        public void BeginOutputReadLine() { StandardOutput.ReadToEndAsync(); }
        public void BeginErrorReadLine() { StandardError.ReadToEndAsync(); }
    }

    public class LabSocketException : SocketException
    {
        readonly string message;
        public LabSocketException(int code, string message) : base(code) { this.message = message; }
        public override string Message { get { return message; } }
    }

    // A request from the machine. What it sends and gets goes through .NET's own client, to the place that the lab names.
    public class LabWebRequest
    {
        readonly string url;
        readonly MemoryStream body = new MemoryStream();
        HttpWebRequest real;

        LabWebRequest(string url) { this.url = url; }
        public static LabWebRequest Create(string url) { return new LabWebRequest(url); }
        public string Method { get; set; }
        public object Proxy { get; set; }
        public bool KeepAlive { get; set; }
        public bool AllowAutoRedirect { get; set; }
        public int Timeout { get; set; }
        public int ReadWriteTimeout { get; set; }
        public string ContentType { get; set; }
        public long ContentLength { get; set; }
        public Stream GetRequestStream() { return body; }
        public void Abort() { if (real != null) { real.Abort(); } }

        public WebResponse GetResponse()
        {
            JsonNode place;
            try { place = World.Windows("connect", new JsonObject { ["method"] = Method, ["url"] = url }); }
            catch (Refusal refusal)
            {
                if (refusal.Kind == "refused") { throw new WebException("Unable to connect to the remote server", new LabSocketException(10061, refusal.Message)); }
                throw new WebException(refusal.Message, WebExceptionStatus.NameResolutionFailure);
            }
#pragma warning disable SYSLIB0014
            real = WebRequest.CreateHttp((string)place["url"]);
#pragma warning restore SYSLIB0014
            // the machine's time is faster than ours; a connection within this computer needs some of ours
            var scale = (double)place["scale"];
            real.Method = Method;
            real.Proxy = null;
            real.KeepAlive = KeepAlive;
            real.AllowAutoRedirect = AllowAutoRedirect;
            real.Timeout = Math.Max(2000, (int)(Timeout / scale));
            real.ReadWriteTimeout = Math.Max(2000, (int)(ReadWriteTimeout / scale));
            if (ContentType != null)
            {
                var bytes = body.ToArray();
                real.ContentType = ContentType;
                real.ContentLength = bytes.Length;
                using (var stream = real.GetRequestStream()) { stream.Write(bytes, 0, bytes.Length); }
            }
            return real.GetResponse();
        }
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
        public override void SetShouldExit(int exit) { Code = exit; }
    }
}
