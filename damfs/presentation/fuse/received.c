/*
 * New files that are being received: what is written to them goes to their staged file here, and what the kernel asks
 * of them meanwhile, and of the directory they are made in, is known here. Python, or making.c, has made the file. Python
 * enters it into the catalog, and is told what was made, written and closed before it answers anything else; or, when
 * nothing else is asked, a moment later: a timer wakes it.
 *
 * Only what is sure is answered: anything else that is asked of a file (to open it once more, to cut it, to change its
 * mode) leaves it to Python from then on, and so does a write that fails, or is not at the beginning. What the kernel is
 * told of attributes is what Python said last, with what was written since, as long as nothing else was committed.
 *
 * Concurrency: the table is under one mutex; requests come one at a time. A descriptor is Python's, which lets go of it
 * before it closes it. Crash rule: bytes are in the page cache when a write is answered, as if Python had written them.
 */
#define _GNU_SOURCE
#include "names.h"
#include "received.h"
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define EXPORTED __attribute__((visibility("default")))
#define MOST 64
#define BEGINNING (128u << 10) /* what is further behind is written in a thread */
#define BLOCK 512
#define NAME_ROOM 256
#define LAPSE_NS 8000000 /* after which Python hears of what was done, if it was not asked anything */
#define LONG_S 60 /* what the kernel may not believe for so long moves by itself, and is asked for each time */
#define SECOND 1000000000
#define PERMISSIONS 07777
#define SET_IDS (S_ISUID | S_ISGID)
#define KILLS_SET_IDS (1u << 2) /* FUSE_WRITE_KILL_SUIDGID (Linux 5.11): the writer may not leave them set */

struct file {
	uint64_t handle; /* 0: closed, or none */
	uint64_t inode;
	int fd;
	int taken; /* whether it is written here */
	int alone; /* whether all that was done to it was done here */
	int made, changed, closed; /* since Python was told */
	int64_t made_ns;
	long made_at; /* change */
	char name[NAME_ROOM];
	uint64_t size;
	int64_t mtime_ns;
	long change; /* up to which `answer` holds; -1: it does not */
	struct fuse_attr_out answer;
};
static struct file files[MOST];
static unsigned last; /* of files */

static struct {
	uint64_t inode;
	uint32_t pid;
	uint64_t unique; /* of the request that waits for its answer */
	long asked;
	long change;
	struct fuse_attr_out answer;
} directory = {.change = -1};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int untold; /* files that were made, written or closed since Python was told of them */
static int waker = -1; /* a timer */

void received_reset(void)
{
	pthread_mutex_lock(&lock);
	memset(files, 0, sizeof files);
	memset(&directory, 0, sizeof directory);
	directory.change = -1;
	untold = 0;
	if (waker < 0)
		waker = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	pthread_mutex_unlock(&lock);
}

/* Before the file is marked: Python has to hear of it. */
static void tell_of(const struct file *file)
{
	struct itimerspec lapse = {.it_value = {.tv_nsec = LAPSE_NS}};

	if (file->made || file->changed || file->closed)
		return;
	if (untold++ == 0)
		timerfd_settime(waker, 0, &lapse, NULL);
}

static struct file *open_file(uint64_t handle)
{
	for (unsigned i = 0; handle && i < MOST; i++)
		if (files[i].handle == handle)
			return &files[i];
	return NULL;
}

static struct file *file_of(uint64_t inode)
{
	for (unsigned i = 0; i < MOST; i++)
		if (files[i].inode == inode && inode)
			return &files[i];
	return NULL;
}

static int answer(int fd, uint64_t unique, const void *payload, size_t size)
{
	struct fuse_out_header out = {.len = sizeof out + size, .unique = unique};
	struct iovec iov[2] = {{&out, sizeof out}, {(void *)payload, size}};

	return writev(fd, iov, 2) > 0 || errno == ENOENT; /* ENOENT: who asked was killed meanwhile */
}

/* ---- writing ---- */

static void set_times(struct fuse_attr *attr, int64_t at_ns)
{
	attr->mtime = attr->ctime = attr->atime = at_ns / SECOND;
	attr->mtimensec = attr->ctimensec = attr->atimensec = at_ns % SECOND;
}

static int64_t now_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (int64_t)now.tv_sec * SECOND + now.tv_nsec;
}

static void note_written(struct file *file, uint64_t end)
{
	file->mtime_ns = now_ns(CLOCK_REALTIME);
	if (end > file->size)
		file->size = end;
	file->answer.attr.size = file->size;
	file->answer.attr.blocks = (file->size + BLOCK - 1) / BLOCK;
	set_times(&file->answer.attr, file->mtime_ns);
	tell_of(file);
	file->changed = 1;
}

static int may_write(const struct file *file, const struct fuse_write_in *write)
{
	uint32_t flags = write->write_flags & ~FUSE_WRITE_LOCKOWNER;

	if ((flags & KILLS_SET_IDS) && !(file->answer.attr.mode & SET_IDS))
		flags &= ~KILLS_SET_IDS;
	return flags == 0 && write->offset <= BEGINNING && write->size <= BEGINNING - write->offset;
}

static int answer_write(int fd, const struct fuse_in_header *in, const char *body, size_t size)
{
	struct fuse_write_out out = {0};
	struct fuse_write_in request;
	struct file *file;

	if (size < sizeof request)
		return 0;
	memcpy(&request, body, sizeof request);
	file = open_file(request.fh);
	if (!file || file->inode != in->nodeid)
		return 0;
	if (!file->taken || size - sizeof request != request.size || !may_write(file, &request)) {
		file->alone = 0;
		file->change = -1;
		return 0;
	}
	if (pwrite(file->fd, body + sizeof request, request.size, (off_t)request.offset) != (ssize_t)request.size) {
		file->taken = file->alone = 0; /* Python tries it again, and tells the writer what is wrong */
		file->change = -1;
		return 0;
	}
	note_written(file, request.offset + request.size);
	out.size = request.size;
	return answer(fd, in->unique, &out, sizeof out);
}

/* ---- attributes ---- */

static int answer_getattr(int fd, const struct fuse_in_header *in)
{
	long changes = current_changes();
	const struct file *file = file_of(in->nodeid);

	if (file)
		return file->change == changes && answer(fd, in->unique, &file->answer, sizeof file->answer);
	if (directory.inode == in->nodeid && directory.pid == in->pid && directory.change == changes)
		return answer(fd, in->unique, &directory.answer, sizeof directory.answer);
	directory.inode = in->nodeid;
	directory.pid = in->pid;
	directory.unique = in->unique;
	directory.asked = changes;
	directory.change = -1;
	return 0;
}

void received_replied(const struct fuse_out_header *out, const void *payload, size_t size)
{
	long changes = current_changes();

	pthread_mutex_lock(&lock);
	if (out->unique != 0 && out->unique == directory.unique) {
		directory.unique = 0;
		if (out->error == 0 && size == sizeof directory.answer && directory.asked == changes) {
			memcpy(&directory.answer, payload, size);
			if (S_ISDIR(directory.answer.attr.mode) && directory.answer.attr_valid >= LONG_S)
				directory.change = changes;
		}
	}
	pthread_mutex_unlock(&lock);
}

/* ---- making and closing ---- */

int received_has_room(void)
{
	int free = 0;

	pthread_mutex_lock(&lock);
	for (unsigned i = 0; waker >= 0 && i < MOST && !free; i++)
		free = !files[i].handle;
	pthread_mutex_unlock(&lock);
	return free;
}

static struct file *take_up(uint64_t handle, int fd)
{
	for (unsigned i = 0; i < MOST; i++) {
		last = (last + 1) % MOST;
		if (!files[last].handle) {
			files[last] = (struct file){.handle = handle, .fd = fd, .change = -1};
			return &files[last];
		}
	}
	return NULL;
}

static void forget(struct file *file)
{
	file->handle = 0;
	file->taken = file->alone = file->made = file->changed = file->closed = 0;
}

/* What the kernel is about to be told of a file. */
static void appear(struct file *file, const struct fuse_entry_out *entry)
{
	for (unsigned i = 0; i < MOST; i++)
		if (files[i].inode == entry->nodeid)
			files[i].inode = 0; /* of a file that is gone */
	file->inode = entry->nodeid;
	file->taken = file->alone = 1;
	file->change = entry->attr_valid >= LONG_S ? current_changes() : -1;
	file->answer.attr_valid = entry->attr_valid;
	file->answer.attr_valid_nsec = entry->attr_valid_nsec;
	file->answer.attr = entry->attr;
}

void received_created(uint64_t handle, const struct fuse_entry_out *entry)
{
	struct file *file;

	pthread_mutex_lock(&lock);
	file = open_file(handle);
	if (file)
		appear(file, entry);
	pthread_mutex_unlock(&lock);
}

/* It is in the directory that was looked at last, if it is known what that looks like. */
static void date_directory(int64_t at_ns)
{
	struct fuse_attr *attr = &directory.answer.attr, was = *attr;

	set_times(attr, at_ns);
	if (was.ctime > attr->ctime || (was.ctime == attr->ctime && was.ctimensec > attr->ctimensec)) {
		attr->ctime = was.ctime;
		attr->ctimensec = was.ctimensec;
	}
	if (was.atime != was.mtime || was.atimensec != was.mtimensec) { /* a program has set it */
		attr->atime = was.atime;
		attr->atimensec = was.atimensec;
	}
}

void received_made(uint64_t handle, int fd, uint64_t parent, const char *name, const struct fuse_entry_out *entry)
{
	struct file *file;

	pthread_mutex_lock(&lock);
	file = take_up(handle, fd);
	if (file) {
		appear(file, entry);
		tell_of(file);
		file->made = 1;
		file->made_ns = (int64_t)entry->attr.mtime * SECOND + entry->attr.mtimensec;
		file->made_at = current_changes();
		strncpy(file->name, name, sizeof file->name - 1);
		if (directory.inode == parent && directory.change == file->made_at)
			date_directory(file->made_ns);
		else
			directory.change = -1; /* other views show the file as well */
	}
	pthread_mutex_unlock(&lock);
}

void received_unmade(uint64_t handle)
{
	struct file *file;

	pthread_mutex_lock(&lock);
	file = open_file(handle);
	if (file) {
		untold--;
		forget(file);
	}
	pthread_mutex_unlock(&lock);
}

void received_entered(void)
{
	long changes = current_changes();

	pthread_mutex_lock(&lock);
	for (unsigned i = 0; i < MOST; i++)
		if (files[i].change == changes - 1)
			files[i].change = changes;
	if (directory.asked == changes - 1) /* it is answered after that commit: Python looks at both in one go */
		directory.asked = changes;
	pthread_mutex_unlock(&lock);
}

/* Nobody waits for the answer to a close. */
static int answer_release(int fd, const struct fuse_in_header *in, const char *body, size_t size)
{
	struct fuse_release_in release;
	struct file *file;

	if (size != sizeof release)
		return 0;
	memcpy(&release, body, sizeof release);
	file = open_file(release.fh);
	if (!file || !file->alone || file->inode != in->nodeid || file->closed)
		return 0;
	tell_of(file);
	file->closed = 1;
	answer(fd, in->unique, NULL, 0);
	return 1;
}

/* ---- what else is asked ---- */

static void leave(uint64_t inode)
{
	struct file *file = file_of(inode);

	if (file) {
		file->taken = file->alone = 0;
		file->change = -1;
	}
	if (directory.inode == inode)
		directory.change = -1;
}

/* A name was changed, maybe that of any file. */
static void leave_all(void)
{
	for (unsigned i = 0; i < MOST; i++) {
		files[i].alone = 0;
		files[i].change = -1;
	}
	directory.change = -1;
}

/* A request that Python answers: it may change what is known here. */
static void see(const struct fuse_in_header *in)
{
	switch (in->opcode) {
	case FUSE_LOOKUP: case FUSE_FORGET: case FUSE_BATCH_FORGET: case FUSE_GETATTR: case FUSE_CREATE: case FUSE_WRITE:
	case FUSE_FLUSH: case FUSE_RELEASE: case FUSE_FSYNC: case FUSE_READ: case FUSE_GETXATTR: case FUSE_LISTXATTR:
	case FUSE_OPENDIR: case FUSE_READDIR: case FUSE_READDIRPLUS: case FUSE_RELEASEDIR: case FUSE_FSYNCDIR:
	case FUSE_STATFS: case FUSE_ACCESS: case FUSE_INTERRUPT:
		break;
	case FUSE_OPEN: case FUSE_SETATTR: case FUSE_SETXATTR: case FUSE_REMOVEXATTR:
		leave(in->nodeid);
		break;
	default:
		leave(in->nodeid);
		leave_all();
	}
}

int received_answer(int fd, const struct fuse_in_header *in, const char *body, size_t size)
{
	int answered = 0;

	pthread_mutex_lock(&lock);
	if (in->opcode == FUSE_WRITE)
		answered = answer_write(fd, in, body, size);
	else if (in->opcode == FUSE_GETATTR)
		answered = answer_getattr(fd, in);
	else if (in->opcode == FUSE_RELEASE)
		answered = answer_release(fd, in, body, size);
	if (!answered)
		see(in);
	pthread_mutex_unlock(&lock);
	return answered;
}

/* ---- for Python ---- */

struct told {
	uint64_t handle, inode, size;
	int64_t mtime_ns, made_ns;
	int32_t fd, mode, made, undisturbed, changed, closed;
	char name[NAME_ROOM];
};

/* From the reply on that opens the handle, its first bytes are written here. */
EXPORTED void damfs_receive(uint64_t handle, int fd)
{
	pthread_mutex_lock(&lock);
	if (waker >= 0)
		take_up(handle, fd);
	pthread_mutex_unlock(&lock);
}

/* Readable when Python is to ask for news. */
EXPORTED int damfs_waker(void) { return waker; }

/* Nothing is written to it any more. What it looks like stays known. */
EXPORTED void damfs_let_go(uint64_t handle)
{
	struct file *file;

	pthread_mutex_lock(&lock);
	file = open_file(handle);
	if (file) {
		untold -= file->made || file->changed || file->closed;
		forget(file);
	}
	pthread_mutex_unlock(&lock);
}

/* The next file that was made, written or closed since Python was told of it; whether there is any. One that was closed
 * is let go of. */
EXPORTED int damfs_news(struct told *told)
{
	int found = 0;

	pthread_mutex_lock(&lock);
	for (unsigned i = 0; untold && !found && i < MOST; i++) {
		struct file *file = &files[i];

		if (!file->made && !file->changed && !file->closed)
			continue;
		*told = (struct told){file->handle, file->inode, file->size, file->mtime_ns, file->made_ns,
				      file->fd, file->answer.attr.mode & PERMISSIONS, file->made,
				      file->made_at == current_changes(), file->changed, file->closed, {0}};
		memcpy(told->name, file->name, sizeof told->name);
		found = 1;
		untold--;
		file->made = file->changed = 0;
		if (file->closed)
			forget(file);
	}
	pthread_mutex_unlock(&lock);
	return found;
}

/* Whether it is known what a directory looked like before the last change. */
EXPORTED int damfs_knows_directory(uint64_t inode)
{
	int known;

	pthread_mutex_lock(&lock);
	known = directory.inode == inode && directory.change >= 0 && directory.change == current_changes() - 1;
	pthread_mutex_unlock(&lock);
	return known;
}

/* That the last change made names in that directory, and nothing else of it. */
EXPORTED void damfs_made_in(uint64_t inode, int64_t mtime_ns)
{
	pthread_mutex_lock(&lock);
	if (directory.inode == inode && directory.change >= 0 && directory.change == current_changes() - 1) {
		date_directory(mtime_ns);
		directory.change = current_changes();
	}
	pthread_mutex_unlock(&lock);
}
