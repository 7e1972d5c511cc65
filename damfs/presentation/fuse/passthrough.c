/*
 * What pyfuse3 cannot say to the kernel: read these files yourself (passthrough), keep the listings of these
 * directories, and no file here has capabilities that a write would have to take away. And it never waits for a request
 * that was taken back. Some requests have an answer that is known here already, and are a third of all when small files
 * are copied: they are answered here, in a hundredth of the time that Python takes. What is written to new files is the
 * business of received.c.
 *
 * Loaded with RTLD_GLOBAL before pyfuse3, so that its fuse_session_mount is the one below: it calls libfuse's own and
 * then puts itself between libfuse and /dev/fuse (fuse_session_custom_io, libfuse >= 3.14), where it adds flags to
 * three kinds of replies. Every request and reply that is none of its business passes untouched.
 *
 * Concurrency: any thread may call anything; the two tables are under one mutex, the state is atomic. One session at a
 * time. Crash rule: nothing outlives the process; when a step fails, the session goes on without what it was for.
 */
#define _GNU_SOURCE
#include "making.h"
#include "names.h"
#include "received.h"
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <poll.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define EXPORTED __attribute__((visibility("default")))

/* Parts of the kernel's interface (Linux 6.9) that the headers of older distributions lack. */
#define INIT_FLAGS2_PASSTHROUGH (1u << (37 - 32))
#define OPEN_PASSTHROUGH (1u << 7)
#define MAX_STACK_DEPTH_OFFSET (offsetof(struct fuse_init_out, flags2) + sizeof(uint32_t))
#define BACKING_ID_OFFSET (offsetof(struct fuse_open_out, open_flags) + sizeof(uint32_t))
#define INIT_HANDLE_KILLPRIV_V2 (1u << 28)
#define PATIENCE_NS 60000
#define IN_TURN 16 /* requests that are answered here one after the other */
#define STACK_DEPTH 1 /* the files below may be on any file system that is not itself stacked */

struct backing_map {
	int32_t fd;
	uint32_t flags;
	uint64_t padding;
};
#define BACKING_OPEN _IOW(229, 1, struct backing_map)
#define BACKING_CLOSE _IOW(229, 2, uint32_t)

/* libfuse's, as symbol version FUSE_3.0 of fuse_session_custom_io has it. */
struct custom_io {
	ssize_t (*writev)(int fd, struct iovec *iov, int count, void *userdata);
	ssize_t (*read)(int fd, void *buf, size_t len, void *userdata);
	void *splice_receive;
	void *splice_send;
};
struct fuse_session;

enum state { NOT_MOUNTED, OLD_LIBFUSE, NO_INIT_YET, NOT_OFFERED, REFUSED, ON };

static atomic_int state = NOT_MOUNTED;
static atomic_int refusal; /* errno, when REFUSED */
static atomic_int hooked;
static atomic_int offers_passthrough;
static atomic_int offers_killpriv;
static atomic_int session_fd = -1;
static atomic_long answered; /* requests that Python never saw */

/* ---- two small tables: requests that wait for their reply, and what to add to the reply of an open ---- */

struct note {
	uint64_t key;
	uint32_t flags; /* of a request: its opcode */
	int32_t backing;
};
struct notes {
	struct note *rows;
	size_t count, room;
};
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct notes requests; /* by unique; as many as there are opens under way: searched from the end */
static struct notes answers;  /* by file handle */

static int put(struct notes *table, struct note note)
{
	int result = 0;

	pthread_mutex_lock(&lock);
	if (table->count == table->room) {
		size_t room = table->room ? 2 * table->room : 64;
		struct note *rows = realloc(table->rows, room * sizeof *rows);

		if (rows) {
			table->rows = rows;
			table->room = room;
		} else {
			result = -ENOMEM;
		}
	}
	if (result == 0)
		table->rows[table->count++] = note;
	pthread_mutex_unlock(&lock);
	return result;
}

static int take(struct notes *table, uint64_t key, struct note *found)
{
	int result = 0;

	pthread_mutex_lock(&lock);
	for (size_t i = table->count; i-- > 0;) {
		if (table->rows[i].key == key) {
			*found = table->rows[i];
			table->rows[i] = table->rows[--table->count];
			result = 1;
			break;
		}
	}
	pthread_mutex_unlock(&lock);
	return result;
}

/* ---- what goes to the kernel and comes from it ---- */

static void see_request(const char *buffer, size_t size)
{
	struct fuse_in_header in;

	memcpy(&in, buffer, sizeof in);
	if (in.opcode == FUSE_INIT && size >= sizeof in + offsetof(struct fuse_init_in, unused)) {
		struct fuse_init_in init;

		memcpy(&init, buffer + sizeof in, offsetof(struct fuse_init_in, unused));
		offers_passthrough = (init.flags & FUSE_INIT_EXT) && (init.flags2 & INIT_FLAGS2_PASSTHROUGH);
		offers_killpriv = (init.flags & INIT_HANDLE_KILLPRIV_V2) != 0;
	}
	if (in.opcode == FUSE_INIT || in.opcode == FUSE_OPEN || in.opcode == FUSE_OPENDIR || in.opcode == FUSE_CREATE)
		put(&requests, (struct note){.key = in.unique, .flags = in.opcode}); /* no memory: a plain reply */
}

/* Before the first write to a file the kernel asks whether it has capabilities: none has, ever. FLUSH only tells who
 * closes a file whether the daemon lives: nothing is buffered in it. */
static int answered_here(int fd, const char *buffer, size_t size)
{
	static const char capability[] = "security.capability";
	const size_t name = sizeof(struct fuse_in_header) + sizeof(struct fuse_getxattr_in);
	struct fuse_out_header out = {.len = sizeof out};
	struct fuse_in_header in;

	memcpy(&in, buffer, sizeof in);
	if (received_answer(fd, &in, buffer + sizeof in, size - sizeof in))
		return 1;
	if (in.opcode == FUSE_LOOKUP)
		return names_answer(fd, &in, buffer + sizeof in, size - sizeof in);
	if (in.opcode == FUSE_CREATE)
		return making_answer(fd, &in, buffer + sizeof in, size - sizeof in);
	if (in.opcode == FUSE_GETXATTR && size == name + sizeof capability &&
	    memcmp(buffer + name, capability, sizeof capability) == 0)
		out.error = -ENODATA;
	else if (in.opcode != FUSE_FLUSH)
		return 0;
	out.unique = in.unique;
	return write(fd, &out, sizeof out) > 0 || errno == ENOENT; /* ENOENT: who asked was killed meanwhile */
}

/* Who was just answered asks for the next thing at once: going round through Python's loop for it takes longer than to
 * wait a little. Not for long, and not again and again: others have work to do on that loop. */
static int more_comes(int fd)
{
	struct pollfd wanted = {.fd = fd, .events = POLLIN};
	struct timespec patience = {.tv_nsec = PATIENCE_NS};

	return ppoll(&wanted, 1, &patience, NULL) > 0 && (wanted.revents & POLLIN);
}

/* The next request that Python has to see; -1 when none is there, and errno is EAGAIN. */
static ssize_t next_request(int fd, void *buffer, size_t size)
{
	ssize_t got;

	for (int in_turn = 0; in_turn < IN_TURN; in_turn++) {
		got = read(fd, buffer, size);
		if (got < (ssize_t)sizeof(struct fuse_in_header))
			return got;
		if (!answered_here(fd, buffer, (size_t)got))
			return got;
		answered++;
		if (!more_comes(fd))
			break;
	}
	errno = EAGAIN;
	return -1;
}

static ssize_t read_request(int fd, void *buffer, size_t size, void *userdata)
{
	ssize_t got = next_request(fd, buffer, size);

	(void)userdata;
	if (got < 0 && errno == EAGAIN)
		errno = EINTR; /* which pyfuse3 takes for what it is: no request, go on */
	else if (got >= (ssize_t)sizeof(struct fuse_in_header))
		see_request(buffer, (size_t)got);
	return got;
}

/* Whether the kernel really takes a file: only now it says what it thinks of our capabilities. */
static void try_backing(void)
{
	int file = memfd_create("damfs", MFD_CLOEXEC);
	struct backing_map map = {.fd = file};
	int id = file < 0 ? -1 : ioctl(session_fd, BACKING_OPEN, &map);

	if (id > 0) {
		ioctl(session_fd, BACKING_CLOSE, &id);
		state = ON;
	} else {
		refusal = errno;
		state = REFUSED;
	}
	if (file >= 0)
		close(file);
}

static ssize_t reply_to_init(int fd, struct iovec *iov, int count)
{
	struct fuse_init_out init;
	uint32_t depth = STACK_DEPTH;
	struct iovec changed[2] = {iov[0], {.iov_base = &init, .iov_len = sizeof init}};
	ssize_t written;

	state = NOT_OFFERED;
	if (count != 2 || iov[1].iov_len != sizeof init)
		return writev(fd, iov, count);
	memcpy(&init, iov[1].iov_base, sizeof init);
	if (offers_killpriv)
		init.flags |= INIT_HANDLE_KILLPRIV_V2; /* else it asks for security.capability before each write */
	if (offers_passthrough) {
		init.flags |= FUSE_INIT_EXT;
		init.flags2 |= INIT_FLAGS2_PASSTHROUGH;
		memcpy((char *)&init + MAX_STACK_DEPTH_OFFSET, &depth, sizeof depth);
	}
	written = writev(fd, changed, 2);
	if (offers_passthrough && written > 0)
		try_backing();
	return written;
}

/* A struct fuse_open_out, alone or (CREATE) behind a struct fuse_entry_out. */
static ssize_t reply_to_open(int fd, const struct fuse_out_header *out, struct iovec *iov, int count)
{
	char payload[sizeof(struct fuse_entry_out) + sizeof(struct fuse_open_out)];
	size_t size = count == 2 ? iov[1].iov_len : 0;
	struct iovec changed[2] = {iov[0], {.iov_base = payload, .iov_len = size}};
	struct fuse_entry_out entry;
	struct fuse_open_out open;
	struct note add;

	if (size != sizeof payload && size != sizeof open)
		return writev(fd, iov, count);
	memcpy(payload, iov[1].iov_base, size);
	memcpy(&open, payload + size - sizeof open, sizeof open);
	if (size == sizeof payload) {
		memcpy(&entry, payload, sizeof entry);
		received_created(open.fh, &entry);
		making_replied(out->unique, &entry, &open);
	}
	if (!take(&answers, open.fh, &add))
		return writev(fd, iov, count);
	if (add.flags & OPEN_PASSTHROUGH) {
		open.open_flags = add.flags; /* the kernel refuses passthrough beside other flags of its page cache */
		memcpy((char *)&open + BACKING_ID_OFFSET, &add.backing, sizeof add.backing);
	} else {
		open.open_flags |= add.flags;
	}
	memcpy(payload + size - sizeof open, &open, sizeof open);
	return writev(fd, changed, 2);
}

static ssize_t send_reply(int fd, struct iovec *iov, int count, void *userdata)
{
	struct fuse_out_header out;
	struct note request;

	(void)userdata;
	if (count < 1 || iov[0].iov_len != sizeof out)
		return writev(fd, iov, count);
	memcpy(&out, iov[0].iov_base, sizeof out);
	names_replied(&out, count == 2 ? iov[1].iov_base : NULL, count == 2 ? iov[1].iov_len : 0);
	if (count == 2)
		received_replied(&out, iov[1].iov_base, iov[1].iov_len);
	if (out.unique == 0 || !take(&requests, out.unique, &request) || out.error != 0) /* 0: a notification */
		return writev(fd, iov, count);
	return request.flags == FUSE_INIT ? reply_to_init(fd, iov, count) : reply_to_open(fd, &out, iov, count);
}

/* ---- how it gets in between ---- */

static int is_libfuse(struct dl_phdr_info *info, size_t size, void *found)
{
	const char *slash = strrchr(info->dlpi_name, '/');

	(void)size;
	if (strncmp(slash ? slash + 1 : info->dlpi_name, "libfuse3", strlen("libfuse3")) != 0)
		return 0;
	*(void **)found = dlopen(info->dlpi_name, RTLD_LAZY | RTLD_NOLOAD);
	return *(void **)found != NULL;
}

static void get_in_between(void *libfuse, struct fuse_session *session)
{
	static const struct custom_io io = {.writev = send_reply, .read = read_request};
	int (*custom_io)(struct fuse_session *, const struct custom_io *, int);
	int (*fd_of)(struct fuse_session *);

	custom_io = dlvsym(libfuse, "fuse_session_custom_io", "FUSE_3.0");
	fd_of = dlsym(libfuse, "fuse_session_fd");
	requests.count = answers.count = 0;
	hooked = 0;
	answered = 0;
	names_reset();
	received_reset();
	making_reset();
	offers_passthrough = offers_killpriv = 0;
	state = OLD_LIBFUSE;
	if (!custom_io || !fd_of)
		return;
	session_fd = fd_of(session);
	if (custom_io(session, &io, session_fd) == 0) {
		hooked = 1;
		state = NO_INIT_YET;
		/* A program that is killed takes back its request, maybe just when it is about to be read: pyfuse3 would
		 * wait for the next one, and its loop, and every thread of Python, with it. */
		fcntl(session_fd, F_SETFL, fcntl(session_fd, F_GETFL) | O_NONBLOCK);
	}
}

EXPORTED int fuse_session_mount(struct fuse_session *session, const char *mountpoint)
{
	void *libfuse = NULL;
	int (*mount)(struct fuse_session *, const char *) = NULL;
	int result;

	dl_iterate_phdr(is_libfuse, &libfuse);
	if (libfuse)
		mount = dlsym(libfuse, "fuse_session_mount");
	if (!mount)
		return -1;
	result = mount(session, mountpoint);
	if (result == 0)
		get_in_between(libfuse, session);
	return result;
}

/* ---- for Python ---- */

EXPORTED int damfs_state(void) { return state; }
EXPORTED int damfs_refusal(void) { return refusal; }
EXPORTED int damfs_hooked(void) { return hooked; }
EXPORTED long damfs_answered(void) { return answered; }

/* The id under which the kernel knows the file from now on (> 0), or -errno. */
EXPORTED int damfs_backing_open(int fd)
{
	struct backing_map map = {.fd = fd};
	int id = ioctl(session_fd, BACKING_OPEN, &map);

	return id < 0 ? -errno : id;
}

EXPORTED int damfs_backing_close(int id) { return ioctl(session_fd, BACKING_CLOSE, &id) < 0 ? -errno : 0; }

/* The reply that opens this handle says: the kernel reads and writes the backing file itself. With `direct` it does so
 * for mappings only, and asks for the rest: for a handle that stands for other bytes than the inode's backing file. */
EXPORTED int damfs_pass_through(uint64_t handle, int backing, int direct)
{
	uint32_t flags = OPEN_PASSTHROUGH | (direct ? FOPEN_DIRECT_IO : 0);

	return put(&answers, (struct note){.key = handle, .flags = flags, .backing = backing});
}

/* The reply that opens this directory says: the kernel may keep the listing, also for those who open it later. */
EXPORTED int damfs_keep_listing(uint64_t handle)
{
	return put(&answers, (struct note){.key = handle, .flags = FOPEN_CACHE_DIR | FOPEN_KEEP_CACHE});
}

/* For a handle whose reply was not sent. */
EXPORTED void damfs_forget(uint64_t handle)
{
	struct note note;

	take(&answers, handle, &note);
}
