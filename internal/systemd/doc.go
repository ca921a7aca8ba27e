// Package systemd talks to the service manager that started the process: it
// reports (sd_notify(3)), answers its watchdog, and takes over the sockets that it
// opened (sd_listen_fds(3)). Outside a service manager every function does nothing.
// It opens no socket of its own and decides nothing about what it is handed.
package systemd
