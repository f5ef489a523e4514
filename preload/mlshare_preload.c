/*
 * shared_preload_libraries = 'mlshare_preload': starts Python in the postmaster and imports there what scoring needs,
 * so that sessions inherit it instead of each doing so. Everything works without; see docs/operations.md.
 */
#include <Python.h>

#include "postgres.h"

#include <dlfcn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fmgr.h"
#include "miscadmin.h"
#include "storage/ipc.h"

PG_MODULE_MAGIC;

extern PGDLLEXPORT void _PG_init(void);

#define MODULE "mlshare.preload"

typedef PyObject *(*InitFunction) (void);

static bool
start_python(void)
{
	PyObject   *module;

	/* As PL/Python would, but the signals stay PostgreSQL's. */
	Py_InitializeEx(0);
	module = PyImport_ImportModule(MODULE);
	if (module == NULL)
		PyErr_Print();
	return module != NULL;
}

/* Lets a process of its own try first: whatever may go wrong in there, the postmaster must live. */
static bool
rehearse(void)
{
	int			status;
	pid_t		pid;

	fflush(NULL);
	pid = fork();
	if (pid == 0)
	{
		/* Python may exit(); the lock file is the postmaster's to remove. */
		on_exit_reset();
		_exit(start_python() ? 0 : 1);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0)
	{
		if (errno != EINTR)
			return false;
	}
	return pid > 0 && status == 0;
}

/*
 * What PL/Python calls first in a session, to announce its module "plpy" before it starts Python. Python does not allow
 * that once it runs (since 3.12 it aborts), so the module's contents go into the one that was imported meanwhile. This
 * is also the moment to tell Python that it was forked.
 */
static int
append_inittab(const char *name, InitFunction init)
{
	int			(*next) (const char *, InitFunction);
	PyObject   *made;
	PyObject   *imported;

	if (!Py_IsInitialized())
	{
		next = dlsym(RTLD_NEXT, "PyImport_AppendInittab");
		return next ? next(name, init) : -1;
	}
	/* The fork is long over; what belongs before it is made up for, or locks that were not taken would be released. */
	PyOS_BeforeFork();
	PyOS_AfterFork_Child();
	made = init();
	imported = PyImport_AddModule(name);
	return made && imported ? PyDict_Update(PyModule_GetDict(imported), PyModule_GetDict(made)) : -1;
}

/* Found before libpython's own by every library that is loaded later. */
int			PyImport_AppendInittab(const char *name, InitFunction init) __attribute__((alias("append_inittab")));

void
_PG_init(void)
{
	if (!process_shared_preload_libraries_in_progress)
		return;
	if (Py_IsInitialized() || dlsym(RTLD_DEFAULT, "PyImport_AppendInittab") != (void *) append_inittab)
		ereport(WARNING,
				errmsg("mlshare_preload does nothing: another library brought Python first"),
				errhint("Name mlshare_preload first in shared_preload_libraries."));
	else if (!rehearse() || !start_python())
		ereport(WARNING,
				errmsg("mlshare_preload does nothing: Python could not import %s; the lines above say why", MODULE),
				errhint("Sessions import for themselves, or say what is wrong. See docs/operations.md."));
}
