/*
 * New files that are being received: what is written to them goes to their staged file here, and what the kernel asks
 * of them meanwhile, and of the directory they are made in, is known here. Python has made the file, enters it into the
 * catalog, and is told what was written before it answers anything else. So of a small file that is copied Python sees
 * that it is looked for, made and closed.
 *
 * Only what is sure is answered: anything else that is asked of a file (to open it once more, to cut it, to change its
 * mode) leaves it to Python from then on, and so does a write that fails, or is not at the beginning. What the kernel is
 * told of attributes is what Python said last, with what was written since, as long as nothing else was committed.
 * Nobody waits for the answer to a close, so the close of such a file waits for the next thing that Python is asked.
 *
 * Concurrency: the table is under one mutex; requests come one at a time. A descriptor is Python's, which lets go of it
 * before it closes it. Crash rule: bytes are in the page cache when a write is answered, as if Python had written them.
 */
#define _GNU_SOURCE
#include "received.h"
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define EXPORTED __attribute__((visibility("default")))
#define MOST 32
#define BEGINNING (128u << 10) /* what is further behind is written in a thread */
#define BLOCK 512
#define HELD 8 /* the kernel sends twelve requests that nobody waits for, until one of them is answered */
#define RELEASE_SIZE (sizeof(struct fuse_in_header) + sizeof(struct fuse_release_in))
#define LONG_S 60 /* what the kernel may not believe for so long moves by itself, and is asked for each time */
#define SECOND 1000000000
#define SET_IDS (S_ISUID | S_ISGID)
#define KILLS_SET_IDS (1u << 2) /* FUSE_WRITE_KILL_SUIDGID (Linux 5.11): the writer may not leave them set */

struct file {
	uint64_t handle; /* 0: closed, or none */
	uint64_t inode;
	int fd;
	int taken; /* whether it is written here */
	int alone; /* whether all that was done to it was done here */
	int changed, closed; /* since Python was told */
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
static int untold; /* files that were written or closed since Python was told of them */

/* Closes of files that nobody but their maker has touched: they wait for the next request that Python has to see, and it
 * is told of them before that, in place of being asked for each. When none comes the last one is that request. */
static char held[HELD][RELEASE_SIZE];
static int holding;

void received_reset(void)
{
	pthread_mutex_lock(&lock);
	memset(files, 0, sizeof files);
	memset(&directory, 0, sizeof directory);
	directory.change = -1;
	untold = holding = 0;
	pthread_mutex_unlock(&lock);
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
	untold += !file->changed && !file->closed;
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

void received_created(uint64_t handle, const struct fuse_entry_out *entry)
{
	struct file *file;

	pthread_mutex_lock(&lock);
	file = open_file(handle);
	if (file) {
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
	pthread_mutex_unlock(&lock);
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
	if (!answered)
		see(in);
	pthread_mutex_unlock(&lock);
	return answered;
}

/* ---- closing ---- */

int received_held(const char *request, size_t size)
{
	struct fuse_release_in release;
	struct fuse_in_header in;
	struct file *file;
	int is_held = 0;

	if (size != RELEASE_SIZE)
		return 0;
	memcpy(&in, request, sizeof in);
	memcpy(&release, request + sizeof in, sizeof release);
	if (in.opcode != FUSE_RELEASE)
		return 0;
	pthread_mutex_lock(&lock);
	file = open_file(release.fh);
	if (file && file->alone && file->inode == in.nodeid && holding < HELD) {
		memcpy(held[holding++], request, RELEASE_SIZE);
		is_held = 1;
	}
	pthread_mutex_unlock(&lock);
	return is_held;
}

static void let_out(int fd, int number)
{
	struct fuse_out_header out = {.len = sizeof out};
	struct fuse_release_in release;
	struct fuse_in_header in;
	struct file *file;

	for (int i = 0; i < number; i++) {
		memcpy(&in, held[i], sizeof in);
		memcpy(&release, held[i] + sizeof in, sizeof release);
		file = open_file(release.fh);
		if (file) {
			untold += !file->changed && !file->closed;
			file->closed = 1;
		}
		out.unique = in.unique;
		if (write(fd, &out, sizeof out) < 0)
			continue; /* nobody waits for it */
	}
	holding -= number;
}

int received_let_out(int fd)
{
	int number;

	pthread_mutex_lock(&lock);
	number = holding;
	let_out(fd, number);
	pthread_mutex_unlock(&lock);
	return number;
}

size_t received_last_held(int fd, char *buffer, size_t size)
{
	size_t given = 0;

	pthread_mutex_lock(&lock);
	if (holding && size >= RELEASE_SIZE) {
		memcpy(buffer, held[holding - 1], RELEASE_SIZE);
		let_out(fd, holding - 1);
		holding = 0;
		given = RELEASE_SIZE;
	}
	pthread_mutex_unlock(&lock);
	return given;
}

/* ---- for Python ---- */

struct told {
	uint64_t handle, size;
	int64_t mtime_ns;
	int32_t changed, closed;
};

/* From the reply on that opens the handle, its first bytes are written here. */
EXPORTED void damfs_receive(uint64_t handle, int fd)
{
	pthread_mutex_lock(&lock);
	for (unsigned i = 0; i < MOST; i++) {
		last = (last + 1) % MOST;
		if (!files[last].handle) {
			files[last] = (struct file){.handle = handle, .fd = fd, .change = -1};
			break;
		}
	}
	pthread_mutex_unlock(&lock);
}

static void forget(struct file *file)
{
	file->handle = 0;
	file->taken = file->alone = file->changed = file->closed = 0;
}

/* Nothing is written to it any more. What it looks like stays known. */
EXPORTED void damfs_let_go(uint64_t handle)
{
	struct file *file;

	pthread_mutex_lock(&lock);
	file = open_file(handle);
	if (file) {
		untold -= file->changed || file->closed;
		forget(file);
	}
	pthread_mutex_unlock(&lock);
}

/* The next file that was written or closed since Python was told of it; whether there is any. One that was closed is let
 * go of. */
EXPORTED int damfs_news(struct told *told)
{
	int found = 0;

	pthread_mutex_lock(&lock);
	for (unsigned i = 0; untold && !found && i < MOST; i++) {
		struct file *file = &files[i];

		if (!file->changed && !file->closed)
			continue;
		*told = (struct told){file->handle, file->size, file->mtime_ns, file->changed, file->closed};
		found = 1;
		untold--;
		file->changed = 0;
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

/* That the last change made a name in that directory, and nothing else of it. */
EXPORTED void damfs_made_in(uint64_t inode, int64_t mtime_ns)
{
	struct fuse_attr *attr = &directory.answer.attr, was;

	pthread_mutex_lock(&lock);
	if (directory.inode == inode && directory.change >= 0 && directory.change == current_changes() - 1) {
		was = *attr;
		set_times(attr, mtime_ns);
		if (was.ctime > attr->ctime || (was.ctime == attr->ctime && was.ctimensec > attr->ctimensec)) {
			attr->ctime = was.ctime;
			attr->ctimensec = was.ctimensec;
		}
		if (was.atime != was.mtime || was.atimensec != was.mtimensec) { /* a program has set it */
			attr->atime = was.atime;
			attr->atimensec = was.atimensec;
		}
		directory.change = current_changes();
	}
	pthread_mutex_unlock(&lock);
}
