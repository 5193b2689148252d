package datadir

// OpenAs opens a directory as a process of another user would.
func OpenAs(uid int, path string) (*Dir, error) { return openAs(caller{Use: serverUse, uid: uid, gid: uid}, path) }
