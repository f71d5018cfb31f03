/* SPDX-License-Identifier: Apache-2.0 */

/*
 * service: tells the service manager how far it is, as sd_notify(3) does: a datagram to the socket
 * that NOTIFY_SOCKET names ('@' stands for the NUL of an abstract one). Without one, and whatever
 * goes wrong, nothing happens: the manager finds out by its own timeout, and a mount that works is
 * not given up for it.
 *
 * Rejected: libsystemd, for twenty lines.
 */

#include "fs-private.h"

#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void pfs_service_tell(const char *state)
{
	const char *path = g_getenv("NOTIFY_SOCKET");
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t len = path ? strlen(path) : 0;
	int fd;

	if (len < 2 || len >= sizeof address.sun_path || (path[0] != '/' && path[0] != '@'))
		return;
	memcpy(address.sun_path, path, len);
	if (path[0] == '@') /* an abstract one */
		address.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	(void)sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&address,
		     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
	close(fd);
}
