"""Names that are tricks: each is refused as a part of a reference to the hub, as it is and among others."""

CLIMBING = [
    *("..", ".", "...", "....", "../x", "x/..", "x/../y", "x/../../y", "./x", "x/.", "x/./y"),
    *("../../etc/passwd", "/x", "//x", "x//y", "x/", "/", "//", "/etc/passwd", "//host/share", "///x", "..\\x"),
    *("x\\..\\y", "\\x", "\\\\host\\share", "C:\\x", "C:x", "C:/x", "x:y", "x:$DATA", "\\\\?\\C:\\x"),
    *("\\??\\x", "%2e%2e", "%2e%2e/x", "..%2fx", "%2fx", "x%2f..%2fy", "%5cx", "..%5cx", "%00", "x%00.gguf"),
    *("%252e%252e", "%c0%ae", "..%c0%af", "%uff0e%uff0e/%2e", "x%0d%0ay", "%7e", "\uff0e\uff0e"),
    *("\uff0e\uff0e/x", "\u2025", "\u2025/x", "\u2026", "x\uff0fy", "\uff0fx", "\uff3cx", "x\uff3cy"),
    *("\u3002\u3002/..", "\u2024\u2024", "\u2024\u2024/x", "\uff1ax", "\uff0a", "\uff02x", "..\u200b"),
    *("\u200b..", ".\u200d.", "x\u202ey", "x\u2066y", "x\ufeffy", "\u2028", "x\u2029y", "x\xady", "x\ue000"),
    *("\x00", "x\x00", "\x00x", "x\x00.gguf", "x\n", "x\ny", "\rx", "x\ty", "\x1b[31mx", "x\x7f", "x\x80"),
    *("x\x9b31m", "\x01", "\ud800", "x\udfff", "x\U000e0001y", "\U0010ffff", "CON", "con", "nul", "NUL.gguf"),
    *("aux.txt", "PRN", "COM1", "com9.gguf", "LPT1", "lpt9.x", "COM\xb9", "CONIN$", "conout$", "x.", "x.."),
    *("x ", " x", "x. ", "x/ y", "x /y", "x./y", "\xa0", "\u3000x", "x\u2003", "~", "~root", "~/x", "x/~y"),
    *("*", "x*", "?", "x?y", '"', 'x"', "<x", "x>", "|x", "x|y", "x<y>", "a?b=c", "", " ", "   ", "\t"),
    *("x/" * 16 + "y", "x" * 256, "\xe4" * 128, "x/" + "y" * 256, "\xe9" * 600, "a/" * 600),
]
"""As a file of a repository: out of its folder, on some system or after some normalisation, or no file at all."""

BAD_REPOS = [
    *("", "/", "a", "a/", "/a", "a//b", "a/b/c", "../a", "a/..", "./a", "a/.", "..", "../..", "a/../b", "/a/b"),
    *("a/b/", "a..b/c", "a/b..c", "a--b/c", "a/b--c", "models--a/b", "a/b.git", "a/b.GIT", ".a/b", "a/.b"),
    *("a./b", "a/b.", "-a/b", "a/-b", "a-/b", "a/b-", "a\\b", "a\\b/c", "a/b\\c", "a b/c", "a/b c", " a/b"),
    *("a/b ", "a/b\n", "a\x00/b", "a/b\x00", "\xe4/b", "a/\xdf", "\u0430/b", "a\uff0fb", "a/b?x", "a/b#x"),
    *("a/b%2e", "%2e%2e/b", "a:b/c", "a/b:c", "a/b@c", "~/b", "$a/b", "a/$b", "a/b;c", "a/b|c", "a/b&c"),
    *("a/`b`", "a/'b'", 'a/"b"', "a/<b>", "a/*", "*/b", "a/{b}", "a" * 97 + "/b", "a/" + "b" * 97),
    *("http://a/b", "file:///a/b", "a/b\u200b", "\u202ea/b", "a/b\ud800", "\uff11/\uff12", "\uff41/\uff42"),
    *("a/b\r", "a\t/b"),
]

BAD_REVISIONS = [
    *("", ".", "..", "../x", "x/..", "x/../y", "/x", "x/", "x//y", "x/.y", ".x", "-x", "x/-y", "x.lock"),
    *("x.lock/y", "x.", "x..y", "x\\y", "x y", " x", "x ", "x\n", "x\x00", "x~1", "x^", "x:y", "x?", "x*"),
    *("x[", "x@{1}", "@", "%2e%2e", "x%2fy", "\xe4", "x\u200b", "x\u202e", "\ud800", "x" * 256, "x;y", "x|y"),
    *("$x", "`x`", "'x'", '"x"', "<x>", "x&y", "x=y", "x#y"),
]

BAD_QUANTS = [
    *("", ".", "..", "Q4..K", "Q4/K", "Q4\\K", "-Q4", ".Q4", "Q4.", "Q4-", "Q4 K", "Q4\n", "Q4\x00", "\xe4"),
    *("Q" * 65, "Q:4", "*", "%2e"),
]
