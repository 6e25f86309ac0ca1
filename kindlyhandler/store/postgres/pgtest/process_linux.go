package pgtest

import (
	"os/exec"
	"runtime"
	"syscall"
)

// unprivileged makes a command run as a user that is not root, and end with
// this process.
func unprivileged(command *exec.Cmd) {
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGQUIT}
	if uid, gid, ok := servant(); ok {
		command.SysProcAttr.Credential = &syscall.Credential{Uid: uid, Gid: gid}
	}
}

func lockThread() { runtime.LockOSThread() }
