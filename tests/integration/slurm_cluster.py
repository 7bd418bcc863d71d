"""A real SLURM cluster of two nodes on this machine, from the distribution's packages (Debian: slurm-wlm and munge).

Both nodes are this machine under two names. Their jobs see each other's processes as on one host, unless the second
node gets a process namespace of its own: then they are two hosts that share a disk.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

NODES = ("127.0.0.1", "127.0.0.2")  # addresses as names: JAX looks for process 0 at the name of the first node
MAX_ARRAY_SIZE = 5  # tasks of an array are numbered from 0 to one less
START_SECONDS = 60
PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"  # where daemons lie
OWN_PROCESSES = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
MUNGE_FILES = {"key-file": "key", "socket": "socket", "pid-file": "pid", "seed-file": "seed", "log-file": "log"}
CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmctldPidFile={folder}/slurmctld.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdSpoolDir={folder}/spool-%n
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmdLogFile={folder}/slurmd-%n.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
MailProg=/bin/true
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_min_interval=0,batch_sched_delay=0,sched_interval=1
ReturnToService=0
JobRequeue=1
KillWait=5
MaxArraySize={array}
NodeName={nodes[0]} NodeHostname={host} NodeAddr={nodes[0]} Port={ports[1]} CPUs=2 RealMemory=1000
NodeName={nodes[1]} NodeHostname={host} NodeAddr={nodes[1]} Port={ports[2]} CPUs=2 RealMemory=1000
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


@dataclass(frozen=True)
class Task:
    """One line of the queue: a task of an array, or a job without one.

    Attributes:
        job: number of the job, the same for all tasks of an array.
        index: number of the task; None of a job without an array.
        state: PENDING, RUNNING, COMPLETING, ...
        node: where it runs; empty where it does not.
    """

    job: str
    index: int | None
    state: str
    node: str

    def __str__(self) -> str:
        return self.job if self.index is None else f"{self.job}_{self.index}"


@dataclass(frozen=True)
class Cluster:
    """A running cluster; commands with `environment` talk to it."""

    folder: Path
    environment: Mapping[str, str] = field(repr=False)

    def command(self, *words: str, cwd: Path | None = None) -> str:
        """What a command of the cluster prints.

        Raises:
            AssertionError: it failed; with what it said.
        """
        ended = self.attempt(*words, cwd=cwd)
        assert ended.returncode == 0, f"{' '.join(words)}: {ended.stdout}{ended.stderr}"
        return ended.stdout.strip()

    def attempt(self, *words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """A command of the cluster that may fail."""
        return subprocess.run(
            words, env=self.environment, cwd=cwd, capture_output=True, text=True, timeout=120, check=False
        )

    def queue(self) -> list[Task]:
        """What waits or runs, or does not end yet, task by task."""
        lines = self.command("squeue", "--array", "--noheader", "--format=%F %K %T %N").splitlines()
        split = [(*line.split(" "), "")[:4] for line in lines]
        return [Task(job, int(index) if index.isdecimal() else None, *rest) for job, index, *rest in split]

    def wait_for_end(self, seconds: float) -> None:
        """Wait until nothing waits or runs."""
        wait_until(lambda: not self.queue(), seconds, lambda: f"still in the queue: {self.queue()}")

    def said(self) -> str:
        """The ends of the logs of the daemons."""
        logs = [*self.folder.glob("*.log"), self.folder / "munge" / "log"]
        return "\n".join(f"{log.name}: {log.read_text()[-2000:]}" for log in logs if log.exists())


@contextlib.contextmanager
def running_cluster(separate_hosts: bool = False) -> Iterator[Cluster]:
    """Start a cluster; in the end stop all of it, with every process that its jobs started.

    Args:
        separate_hosts: the second node has a process namespace of its own.

    Skips the test where the packages are missing, or where this user cannot start the daemons.
    """
    if reason := _lacking(separate_hosts):
        pytest.skip(f"no SLURM cluster here: {reason}")
    # not a folder of pytest: the user munge may not enter those, and a socket's path has at most 107 characters
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    environment = {**os.environ, "PATH": PATH, "SLURM_CONF": str(folder / "slurm.conf")}
    cluster = Cluster(folder, environment)
    with contextlib.ExitStack() as daemons:
        daemons.callback(shutil.rmtree, folder)
        try:
            _start(cluster, separate_hosts, daemons)
            yield cluster
        finally:
            end_processes(folder)


def _lacking(separate_hosts: bool) -> str:
    """Why there can be no cluster; empty where there can be one."""
    programs = ["munged", "slurmctld", "slurmd", "sbatch", "srun", *OWN_PROCESSES[:separate_hosts]]
    if missing := [program for program in programs if not shutil.which(program, path=PATH)]:
        return f"no {', '.join(missing)}; apt-get install slurm-wlm munge"
    if os.geteuid() != 0:
        return "only root may start its daemons"
    if separate_hosts and subprocess.run([*OWN_PROCESSES, "true"], capture_output=True, check=False).returncode:
        return "namespaces of processes are not allowed in this container"
    return ""


def _start(cluster: Cluster, separate_hosts: bool, daemons: contextlib.ExitStack) -> None:
    """Start all daemons, and wait until both nodes take jobs; `daemons` waits for their ends."""
    folder = cluster.folder
    folder.chmod(0o755)
    munge, key = folder / "munge", folder / "munge" / "key"
    for name in ("munge", "state", *(f"spool-{node}" for node in NODES)):
        (folder / name).mkdir()
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    for path in (munge, key):
        shutil.chown(path, "munge", "munge")
    configuration = CONFIGURATION.format(
        host=socket.gethostname(), nodes=NODES, ports=free_ports(3), folder=folder, array=MAX_ARRAY_SIZE
    )
    (folder / "slurm.conf").write_text(configuration)

    def start(*words: str, user: str | None = None) -> None:
        daemons.enter_context(
            subprocess.Popen(
                words,
                env=cluster.environment,
                user=user,
                group=user,
                extra_groups=[] if user else None,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C in the tests ends them in order
            )
        )

    files = [f"--{what}={munge / name}" for what, name in MUNGE_FILES.items()]
    start("munged", "--foreground", *files, user="munge")
    wait_until((munge / "socket").exists, START_SECONDS, cluster.said)
    start("slurmctld", "-D", "-c")
    for node in NODES:
        start(*(OWN_PROCESSES if separate_hosts and node == NODES[-1] else ()), "slurmd", "-D", "-N", node)
    idle = ("sinfo", "--noheader", "--Node", "--states=idle", "--responding")
    wait_until(lambda: cluster.attempt(*idle).stdout.count("\n") == len(NODES), START_SECONDS, cluster.said)


def free_ports(count: int) -> list[int]:
    """Ports of this machine that nobody listens on."""
    with contextlib.ExitStack() as sockets:
        some = [sockets.enter_context(socket.socket()) for _ in range(count)]
        for one in some:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in some]


def processes_of(folder: Path) -> dict[int, str]:
    """Number and command line of the processes of a cluster and of its jobs; all know where its configuration lies."""
    mark, found = f"SLURM_CONF={folder}/slurm.conf".encode(), {}
    for process in Path("/proc").iterdir():
        with contextlib.suppress(OSError):  # a process may end while it is looked at
            if process.name.isdecimal() and mark in (process / "environ").read_bytes().split(b"\0"):
                found[int(process.name)] = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    return found


def end_processes(folder: Path) -> None:
    """Kill all processes of a cluster, also those that start meanwhile."""

    def are_gone() -> bool:
        left = processes_of(folder)
        for process in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        return not left

    wait_until(are_gone, START_SECONDS, lambda: f"cannot end {processes_of(folder)}")


def wait_until(holds: Callable[[], object], seconds: float, otherwise: Callable[[], str]) -> None:
    """Look again and again.

    Raises:
        AssertionError: it does not hold in time; with what `otherwise` says.
    """
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, otherwise()
        time.sleep(0.2)
