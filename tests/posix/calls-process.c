/* SPDX-License-Identifier: Apache-2.0 */

/* calls-process: what several processes do to each other: races, appends, locks, programs that run,
 * notifications. */

#include "posix.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define RACERS   6
#define ROUNDS   60
#define LINES    100
#define NAME_LEN 32

/* ---- Races ------------------------------------------------------------------------------- */

/* In a racer, for round N: 0 if it won. */
typedef int (*RaceFunc)(int round);

/* Runs RACE in all racers at once, each round; NULL if just one won each of them. */
static char *race_once_won(RaceFunc race)
{
	int go[2], won[2], total = 0;
	char byte;

	CHECK(!pipe(go) && !pipe(won));
	for (int racer = 0; racer < RACERS; racer++) {
		pid_t child = fork();

		if (child != 0)
			continue;
		close(go[1]);
		/* The end of the file is the start of the race. */
		if (read(go[0], &byte, 1) != 0)
			_exit(1);
		for (int round = 0; round < ROUNDS; round++)
			if (race(round) == 0 && write(won[1], "w", 1) != 1)
				_exit(1);
		_exit(0);
	}
	close(go[0]);
	close(go[1]);
	close(won[1]);
	while (read(won[0], &byte, 1) == 1)
		total++;
	for (int racer = 0, status; racer < RACERS; racer++)
		CHECK(wait(&status) > 0 && status == 0);
	CHECK(total == ROUNDS);
	return NULL;
}

static int race_create(int round)
{
	char name[NAME_LEN];

	g_snprintf(name, sizeof name, "f%d", round);
	return open(name, O_WRONLY | O_CREAT | O_EXCL, 0644) < 0;
}

static int race_mkdir(int round)
{
	char name[NAME_LEN];

	g_snprintf(name, sizeof name, "d%d", round);
	return mkdir(name, 0755);
}

static int race_link(int round)
{
	char name[NAME_LEN], own[NAME_LEN];
	int fd;

	g_snprintf(name, sizeof name, "l%d", round);
	g_snprintf(own, sizeof own, "own%d", (int)getpid());
	fd = open(own, O_WRONLY | O_CREAT, 0644);
	close(fd);
	return link(own, name);
}

static int race_rename(int round)
{
	char name[NAME_LEN], own[NAME_LEN];
	int fd;

	g_snprintf(name, sizeof name, "r%d", round);
	g_snprintf(own, sizeof own, "own%d", (int)getpid());
	fd = open(own, O_WRONLY | O_CREAT, 0644);
	close(fd);
	return renameat2(AT_FDCWD, own, AT_FDCWD, name, RENAME_NOREPLACE);
}

static char *exclusive_create(const CasePlaces *places)
{
	return race_once_won(race_create);
}

static char *exclusive_mkdir(const CasePlaces *places)
{
	return race_once_won(race_mkdir);
}

static char *exclusive_link(const CasePlaces *places)
{
	return race_once_won(race_link);
}

static char *exclusive_rename(const CasePlaces *places)
{
	return race_once_won(race_rename);
}

/* ---- Appending --------------------------------------------------------------------------- */

static char *appends_lose_nothing(const CasePlaces *places)
{
	g_autofree char *text = NULL;
	g_auto(GStrv) lines = NULL;
	int next[RACERS] = {0};

	for (int writer = 0; writer < RACERS; writer++) {
		if (fork() != 0)
			continue;
		int fd = open("log", O_WRONLY | O_CREAT | O_APPEND, 0644);

		for (int i = 0; i < LINES; i++) {
			char line[600];
			/* of all lengths, over the ends of pages */
			int len = g_snprintf(line, sizeof line, "%d %d %0*d\n", writer, i,
					     1 + (writer * 97 + i * 31) % 500, 7);

			if (write(fd, line, (size_t)len) != len)
				_exit(1);
		}
		_exit(0);
	}
	for (int writer = 0, status; writer < RACERS; writer++)
		CHECK(wait(&status) > 0 && status == 0);
	CHECK(g_file_get_contents("log", &text, NULL, NULL));
	lines = g_strsplit(g_strchomp(text), "\n", -1);
	CHECK(g_strv_length(lines) == RACERS * LINES);
	for (char **line = lines; *line; line++) {
		int writer, i;

		CHECK(sscanf(*line, "%d %d", &writer, &i) == 2);
		CHECK(writer >= 0 && writer < RACERS && next[writer]++ == i);
		CHECK(g_str_has_suffix(*line, "7"));
	}
	return NULL;
}

/* ---- Locks ------------------------------------------------------------------------------- */

/* In another process: can PATH be locked (type of fcntl's, or of flock's), from START for LEN? */
static bool can_lock(const char *path, short type, off_t start, off_t len)
{
	pid_t child = fork();

	if (child == 0) {
		struct flock lock = {.l_type = type, .l_start = start, .l_len = len};

		_exit(fcntl(open(path, O_RDWR), F_SETLK, &lock) ? 1 : 0);
	}
	return case_wait(child);
}

static bool can_flock(const char *path, int operation)
{
	pid_t child = fork();

	if (child == 0)
		_exit(flock(open(path, O_RDWR), operation | LOCK_NB) ? 1 : 0);
	return case_wait(child);
}

static char *flock_holds(const CasePlaces *places)
{
	int fd = open("f", O_RDWR | O_CREAT, 0644), other = open("f", O_RDWR);

	CHECK(!flock(fd, LOCK_SH));
	CHECK(can_flock("f", LOCK_SH) && !can_flock("f", LOCK_EX));
	CHECK(!flock(fd, LOCK_EX));
	CHECK(!can_flock("f", LOCK_SH));
	CHECK(flock(other, LOCK_EX | LOCK_NB) == -1 && errno == EWOULDBLOCK);
	CHECK(!flock(dup(fd), LOCK_UN));
	CHECK(can_flock("f", LOCK_EX));
	CHECK(!flock(fd, LOCK_EX) && !close(other));
	CHECK(!can_flock("f", LOCK_EX));
	return NULL;
}

static char *record_locks_hold(const CasePlaces *places)
{
	int fd = open("f", O_RDWR | O_CREAT, 0644);
	struct flock lock = {.l_type = F_WRLCK, .l_start = 100, .l_len = 50};
	struct flock probe = {.l_type = F_WRLCK, .l_start = 0, .l_len = 0};

	CHECK(!fcntl(fd, F_SETLK, &lock));
	CHECK(!can_lock("f", F_RDLCK, 120, 1) && !can_lock("f", F_WRLCK, 0, 0));
	CHECK(can_lock("f", F_WRLCK, 0, 100) && can_lock("f", F_WRLCK, 150, 0));
	CHECK(!fcntl(fd, F_GETLK, &probe) && probe.l_type == F_UNLCK);
	lock.l_type = F_RDLCK;
	CHECK(!fcntl(fd, F_SETLK, &lock));
	CHECK(can_lock("f", F_RDLCK, 120, 1) && !can_lock("f", F_WRLCK, 120, 1));
	/* Closing any descriptor of the file gives the process's locks up. */
	CHECK(!close(open("f", O_RDONLY)));
	CHECK(can_lock("f", F_WRLCK, 0, 0));
	return NULL;
}

static char *record_lock_tells_who(const CasePlaces *places)
{
	int fd = open("f", O_RDWR | O_CREAT, 0644), ready[2], done[2];
	struct flock lock = {.l_type = F_WRLCK, .l_start = 5, .l_len = 7};
	pid_t child;
	char byte;

	CHECK(!pipe(ready) && !pipe(done));
	child = fork();
	if (child == 0) {
		close(done[1]);
		if (fcntl(open("f", O_RDWR), F_SETLKW, &lock) || write(ready[1], "r", 1) != 1)
			_exit(1);
		_exit(read(done[0], &byte, 1) != 0);
	}
	close(done[0]);
	CHECK(read(ready[0], &byte, 1) == 1);
	lock.l_start = lock.l_len = 0;
	CHECK(!fcntl(fd, F_GETLK, &lock));
	CHECK(lock.l_type == F_WRLCK && lock.l_pid == child);
	CHECK(lock.l_start == 5 && lock.l_len == 7);
	close(done[1]);
	CHECK(case_wait(child));
	CHECK(can_lock("f", F_WRLCK, 0, 0));
	return NULL;
}

static char *open_file_locks_hold(const CasePlaces *places)
{
	int fd = open("f", O_RDWR | O_CREAT, 0644), other = open("f", O_RDWR);
	struct flock lock = {.l_type = F_WRLCK, .l_len = 10};

	CHECK(!fcntl(fd, F_OFD_SETLK, &lock));
	CHECK(fcntl(other, F_OFD_SETLK, &lock) == -1 && errno == EAGAIN);
	lock.l_start = 10;
	CHECK(!fcntl(other, F_OFD_SETLK, &lock));
	CHECK(!close(fd));
	CHECK(can_lock("f", F_WRLCK, 0, 10) && !can_lock("f", F_WRLCK, 10, 1));
	return NULL;
}

/* ---- Programs ---------------------------------------------------------------------------- */

static bool copy_program(const char *to)
{
	g_autofree char *bytes = NULL;
	gsize len;

	return g_file_get_contents("/bin/sleep", &bytes, &len, NULL) &&
	       g_file_set_contents(to, bytes, (gssize)len, NULL) && !chmod(to, 0755);
}

/* Starts PATH; returns when it runs. */
static pid_t start_program(const char *path)
{
	int fds[2];
	pid_t child;
	char byte;

	if (pipe2(fds, O_CLOEXEC))
		return -1;
	child = fork();
	if (child == 0) {
		execl(path, path, "1000", NULL);
		_exit(write(fds[1], "x", 1) != 1 || errno);
	}
	close(fds[1]);
	if (read(fds[0], &byte, 1) != 0) /* closed by the exec */
		child = -1;
	close(fds[0]);
	return child;
}

static char *running_program_is_busy(const CasePlaces *places)
{
	struct stat before, after;
	pid_t child;
	int fd;

	CHECK(copy_program("program"));
	child = start_program("./program");
	CHECK(child > 0);
	fd = open("program", O_WRONLY);
	CHECK(fd < 0 && errno == ETXTBSY);
	CHECK(truncate("program", 0) == -1 && errno == ETXTBSY);
	CHECK(!stat("program", &before));
	fd = open("program", O_RDONLY | O_TRUNC);
	CHECK(fd < 0 && errno == ETXTBSY);
	CHECK(!stat("program", &after) && after.st_size == before.st_size);
	CHECK(!unlink("program"));
	CHECK(!kill(child, SIGKILL) && waitpid(child, NULL, 0) == child);
	return NULL;
}

static char *written_program_is_busy(const CasePlaces *places)
{
	int fd;

	CHECK(copy_program("program"));
	fd = open("program", O_WRONLY);
	CHECK(fd >= 0);
	execl("./program", "program", "0", NULL);
	CHECK(errno == ETXTBSY);
	CHECK(!close(fd));
	CHECK(!chmod("program", 0644));
	execl("./program", "program", "0", NULL);
	CHECK(errno == EACCES);
	return NULL;
}

/* ---- Notifications ----------------------------------------------------------------------- */

/* The masks of the events that wait in FD, or'ed. */
static uint32_t take_events(int fd)
{
	char buffer[8192] __attribute__((aligned(8)));
	uint32_t seen = 0;
	ssize_t len = read(fd, buffer, sizeof buffer);

	for (char *p = buffer; len > 0 && p < buffer + len;) {
		const struct inotify_event *event = (const struct inotify_event *)p;

		seen |= event->mask;
		p += sizeof *event + event->len;
	}
	return seen;
}

static char *inotify_tells(const CasePlaces *places)
{
	int fd = inotify_init1(IN_NONBLOCK), file;

	CHECK(inotify_add_watch(fd, ".", IN_ALL_EVENTS) >= 0);
	file = open("f", O_RDWR | O_CREAT, 0644);
	CHECK(take_events(fd) & IN_CREATE);
	CHECK(write(file, "x", 1) == 1 && (take_events(fd) & IN_MODIFY));
	CHECK(!close(file) && (take_events(fd) & IN_CLOSE_WRITE));
	CHECK(!chmod("f", 0600) && (take_events(fd) & IN_ATTRIB));
	CHECK(!rename("f", "g"));
	CHECK((take_events(fd) & (IN_MOVED_FROM | IN_MOVED_TO)) == (IN_MOVED_FROM | IN_MOVED_TO));
	CHECK(!unlink("g") && (take_events(fd) & IN_DELETE));
	CHECK(!mkdir("d", 0755) && (take_events(fd) & (IN_CREATE | IN_ISDIR)));
	CHECK(!rmdir("d") && (take_events(fd) & IN_DELETE));
	return NULL;
}

const CaseCall calls_process[] = {
	{"O_EXCL is won by one", exclusive_create, 0},
	{"mkdir is won by one", exclusive_mkdir, 0},
	{"link is won by one", exclusive_link, 0},
	{"rename NOREPLACE is won by one", exclusive_rename, 0},
	{"O_APPEND of several loses no line", appends_lose_nothing, 0},
	{"flock", flock_holds, 0},
	{"fcntl locks of records", record_locks_hold, 0},
	{"fcntl locks tell who holds them", record_lock_tells_who, 0},
	{"fcntl locks of open files", open_file_locks_hold, 0},
	{"a program that runs is ETXTBSY", running_program_is_busy, 0},
	{"a program that is written is ETXTBSY", written_program_is_busy, 0},
	{"inotify", inotify_tells, 0},
	{NULL, NULL, 0},
};
