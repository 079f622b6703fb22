@echo off
REM keep ngrok up
cd /d C:\ProgramData\Intel
start "" /min ngrok.exe start --all --config=C:\ProgramData\Intel\n.yml
