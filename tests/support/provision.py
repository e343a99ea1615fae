"""Makes a new Active Directory domain: provision.py FOLDER REALM NETBIOS ADDRESS PASSWORD.

Access lists of the sysvol share are left out: nobody mounts it, and without them neither extended
attributes nor samba-vfs-modules are needed."""

import logging
import sys

from samba.auth import system_session
from samba.dsdb import DS_DOMAIN_FUNCTION_2008_R2
from samba.param import LoadParm
from samba.provision import provision

folder, realm, netbios, address, password = sys.argv[1:]
nothing = folder + "/nothing.conf"
open(nothing, "w").close()
settings = LoadParm()
settings.load(nothing)
provision(
    logging.getLogger("provision"),
    system_session(),
    smbconf=nothing,
    targetdir=folder,
    realm=realm,
    domain=netbios,
    hostname="dc1",
    hostip=address,
    adminpass=password,
    serverrole="active directory domain controller",
    dom_for_fun_level=DS_DOMAIN_FUNCTION_2008_R2,
    dns_backend="NONE",
    lp=settings,
    use_ntvfs=False,
    skip_sysvolacl=True,
    backend_store="mdb",
)
