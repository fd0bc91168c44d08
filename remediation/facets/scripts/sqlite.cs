// Runs SQL for the probes of Ollama's settings: Windows has SQLite as winsqlite3.dll, and no command for it. C# 5, as Windows PowerShell 5.1
// compiles it.
using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using System.Text;
namespace Remediation
{
    public static class Sqlite
    {
        const string Library = "winsqlite3.dll";
        [DllImport(Library)] static extern int sqlite3_open_v2(byte[] path, out IntPtr database, int flags, IntPtr vfs);
        [DllImport(Library)] static extern int sqlite3_close(IntPtr database);
        [DllImport(Library)] static extern int sqlite3_busy_timeout(IntPtr database, int milliseconds);
        [DllImport(Library)] static extern int sqlite3_prepare_v2(IntPtr database, byte[] sql, int length, out IntPtr statement, IntPtr tail);
        [DllImport(Library)] static extern int sqlite3_bind_text(IntPtr statement, int index, byte[] text, int length, IntPtr free);
        [DllImport(Library)] static extern int sqlite3_step(IntPtr statement);
        [DllImport(Library)] static extern int sqlite3_column_count(IntPtr statement);
        [DllImport(Library)] static extern IntPtr sqlite3_column_name(IntPtr statement, int column);
        [DllImport(Library)] static extern IntPtr sqlite3_column_text(IntPtr statement, int column);
        [DllImport(Library)] static extern int sqlite3_finalize(IntPtr statement);
        [DllImport(Library)] static extern IntPtr sqlite3_errmsg(IntPtr database);
        static byte[] Utf8(string text) { return Encoding.UTF8.GetBytes(text + "\0"); }
        static string Text(IntPtr place)
        {
            if (place == IntPtr.Zero) { return null; }
            int length = 0;
            while (Marshal.ReadByte(place, length) != 0) { length++; }
            byte[] bytes = new byte[length];
            Marshal.Copy(place, bytes, 0, length);
            return Encoding.UTF8.GetString(bytes);
        }
        // The first row of the answer by column, or null. A statement that changes something has no rows.
        public static Dictionary<string, string> Run(string path, bool write, string sql, string[] values)
        {
            IntPtr database, statement = IntPtr.Zero;
            int code = sqlite3_open_v2(Utf8(path), out database, write ? 2 : 1, IntPtr.Zero);
            try
            {
                if (code == 0) { sqlite3_busy_timeout(database, 5000); code = sqlite3_prepare_v2(database, Utf8(sql), -1, out statement, IntPtr.Zero); }
                for (int each = 0; each < values.Length; each++)
                {
                    if (code != 0) { break; }
                    byte[] text = Encoding.UTF8.GetBytes(values[each]);
                    code = sqlite3_bind_text(statement, each + 1, text, text.Length, new IntPtr(-1));
                }
                if (code == 0) { code = sqlite3_step(statement); }
                if (code == 101) { return null; }
                if (code != 100) { throw new InvalidOperationException("SQLite: " + Text(sqlite3_errmsg(database))); }
                Dictionary<string, string> row = new Dictionary<string, string>();
                for (int each = 0; each < sqlite3_column_count(statement); each++)
                {
                    row[Text(sqlite3_column_name(statement, each))] = Text(sqlite3_column_text(statement, each));
                }
                return row;
            }
            finally { sqlite3_finalize(statement); sqlite3_close(database); }
        }
    }
}
