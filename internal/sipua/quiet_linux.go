package sipua

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// quietWait waits for a socket in Go's poller, one packet at a time: the poller
// knows an epoll(7) of ours in its place, in which the socket is armed once a wait.
// So packets that are read without waiting, or while another thread waits for
// them, wake nobody there.
type quietWait struct {
	file   *os.File // of fd
	fd     int
	raw    syscall.RawConn
	events [2]unix.EpollEvent
	got    int
	try    func(fd uintptr) bool // kept: each wait would make another one
}

func newQuietWait(socket, bell int) (*quietWait, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	err = unix.EpollCtl(fd, unix.EPOLL_CTL_ADD, socket, &unix.EpollEvent{Events: unix.EPOLLONESHOT, Fd: int32(socket)})
	if err == nil {
		err = unix.EpollCtl(fd, unix.EPOLL_CTL_ADD, bell, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(bell)})
	}
	if err == nil {
		err = unix.SetNonblock(fd, true) // else os.File leaves it out of the poller
	}
	if err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("epoll_ctl", err)
	}
	q := &quietWait{fd: fd, file: os.NewFile(uintptr(fd), "epoll")}
	if q.raw, err = q.file.SyscallConn(); err != nil {
		q.file.Close()
		return nil, err
	}
	q.try = func(fd uintptr) bool {
		n, err := unix.EpollWait(int(fd), q.events[:], 0)
		q.got = max(0, n)
		return n > 0 || err != nil // then the socket is looked at
	}
	return q, nil
}

// wait returns when there is a packet, or the bell rang.
func (q *quietWait) wait(socket int) (rang bool, err error) {
	arm := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLONESHOT, Fd: int32(socket)}
	if err := unix.EpollCtl(q.fd, unix.EPOLL_CTL_MOD, socket, &arm); err != nil {
		return false, os.NewSyscallError("epoll_ctl", err)
	}
	if err := q.raw.Read(q.try); err != nil {
		return false, err
	}
	for _, e := range q.events[:q.got] {
		rang = rang || e.Fd != int32(socket)
	}
	return rang, nil
}

func (q *quietWait) close() { q.file.Close() }
