"""Does to a Samba domain what LDAP in the clear does not: administration.py FOLDER COMMAND ARGUMENTS,
and after the word `then` another command.

account NAME PASSWORD    makes a user with a password in the Users container
password NAME PASSWORD   gives a user another password
service ACCOUNT NAME     lets an account stand for a service of Kerberos
keytab ACCOUNT FILE      writes the keys of an account to a keytab
deny-member GROUP NAME   forbids a user to read the members of the group of a DN
allow-member GROUP NAME  takes that back"""

import sys

from ldb import FLAG_MOD_ADD, Message, MessageElement
from samba.auth import system_session
from samba.credentials import Credentials
from samba.dcerpc import security
from samba.ndr import ndr_unpack
from samba.net import Net
from samba.param import LoadParm
from samba.samdb import SamDB
from samba.sd_utils import SDUtils

folder, *words = sys.argv[1:]
settings = LoadParm()
settings.load(folder + "/smb.conf")
database = SamDB(url=folder + "/private/sam.ldb", session_info=system_session(), lp=settings)
# The schema's identifier of the attribute member.
member = "bf9679c0-0de6-11d0-a285-00aa003049e2"


def sid_of(name):
    found = database.search(expression="(sAMAccountName=%s)" % name, attrs=["objectSid"])
    return ndr_unpack(security.dom_sid, found[0]["objectSid"][0])


def carry_out(command, *arguments):
    if command == "account":
        database.newuser(*arguments)
    elif command == "password":
        name, password = arguments
        database.setpassword("(sAMAccountName=%s)" % name, password)
    elif command == "service":
        account, name = arguments
        found = database.search(expression="(sAMAccountName=%s)" % account, attrs=["dn"])
        change = Message(found[0].dn)
        change["service"] = MessageElement(name, FLAG_MOD_ADD, "servicePrincipalName")
        database.modify(change)
    elif command == "keytab":
        # What it adds to Net, only domain controllers have.
        import samba.dckeytab  # noqa: F401

        account, file = arguments
        Net(Credentials(), settings).export_keytab(keytab=file, principal=account)
    elif command == "deny-member":
        group, name = arguments
        SDUtils(database).dacl_add_ace(group, "(OD;;RP;%s;;%s)" % (member, sid_of(name)))
    elif command == "allow-member":
        group, name = arguments
        descriptors = SDUtils(database)
        descriptor = descriptors.read_sd_on_dn(group)
        descriptor.dacl_del(sid_of(name))
        descriptors.modify_sd_on_dn(group, descriptor)
    else:
        sys.exit("no such command: " + command)


while words:
    end = words.index("then") if "then" in words else len(words)
    carry_out(*words[:end])
    words = words[end + 1 :]
